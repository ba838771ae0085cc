// Compiled with the flags of avx512bf16 and AVX512_VBMI. Whole numbers of 15 bits as two bytes, n = 128 h + l, for a
// few groups of tokens: with quads of weights, half the words that a panel's are for pairs, what is kept of a panel
// stays in the first cache. A block's sum takes two instructions more, so that many groups, which hardly decode, are
// better done with words (whole_group_kernels.cc), unless these two are additions that cost nothing beside products.
//
// For that the blocks are taken by quarters: those whose number modulo 16 is 4 q to 4 q + 3, whose four sums are a
// quarter of the sixteen. So of each four cache lines of a row one is read, and added up before the next.

#include "count.h"
#include "whole_panels.h"

namespace ossia::whole::planes {
namespace {

constexpr int64_t kQuarters = 4, kQuarterSums = kSums / kQuarters;

// The blocks of a quarter: `lines` times four, the last of which may have fewer.
struct Quarter {
  int64_t first, blocks;

  Quarter(int64_t number, int64_t row_blocks) : first(number * kQuarterSums), blocks(row_blocks) {}
  int64_t lines() const { return first < blocks ? (blocks - first + kSums - 1) / kSums : 0; }
  int64_t block(int64_t sum, int64_t line) const { return line * kSums + first + sum; }
  int64_t blocks_of(int64_t line) const { return least(kQuarterSums, blocks - block(0, line)); }
  // The block whose turn is next; a block itself, which is there, where it is the last.
  int64_t after(int64_t sum, int64_t line) const {
    if (block(sum, line + 1) < blocks) return block(sum, line + 1);
    return sum + 1 < kQuarterSums && block(sum + 1, 0) < blocks ? block(sum + 1, 0) : block(sum, line);
  }
  // Where a block is kept and arranged, so that those of a sum lie one after another.
  int64_t place(int64_t sum, int64_t line) const { return sum * lines() + line; }
  int64_t places() const { return kQuarterSums * lines(); }
};

// Up to so many tokens have both planes in registers at once.
constexpr int kMostBeside = 5;

// A quarter's weights and scales.
struct alignas(64) Kept {
  char weights[kMostBlocks / kQuarters][kQuadBytes];
  float scales[kMostBlocks / kQuarters][kPanel];
};

// Its sums of some tokens; and the quarters that wait for others, beside y.
struct alignas(64) Sums {
  float of[kQuarterSums][kMostGrouped][kPanel];
};
struct alignas(64) Waiting {
  float of[kMostGroups][kMostGrouped][kPanel];
};

// Of a token and block: the quads of h and of l, and what the 12 of the weights adds to the block's sum.
constexpr int64_t kQuads = kBlock / kQuad, kTokenBytes = (2 * kQuads + 1) * static_cast<int64_t>(sizeof(Word));

void keep_scales(const Mxfp4Rows& rows, const Quarter& quarter, Kept& kept) {
  for (int64_t line = 0; line < quarter.lines(); ++line) {
    decode_scales<kQuarterSums>(rows, quarter.block(0, line), quarter.blocks_of(line),
                                [&](int64_t i) { return kept.scales[quarter.place(i, line)]; });
  }
}

void keep_weights(const Mxfp4Rows& rows, const Quarter& quarter, Kept& kept) {
  for (int64_t line = 0; line < quarter.lines(); ++line) {
    const int64_t b = quarter.block(0, line);
    for (int64_t i = 0; i < quarter.blocks_of(line); ++i) {
      ask_soon(rows, b + i, b + kSums);
      decode_quads(rows, b + i, kept.weights[quarter.place(i, line)]);
    }
  }
}

void arrange_block(const void* const* rows, int64_t tokens, int64_t b, char* to) {
  __m512i words[16] = {};
  Word* offsets = reinterpret_cast<Word*>(to) + 2 * kQuads * tokens;
#pragma GCC unroll 16
  for (int t = 0; t < kMostGrouped; ++t) {
    if (t >= tokens) break;
    const __m512i numbers = numbers_by_quads(rows[t], b);
    __m512i high, low;
    split(numbers, high, low);
    words[t] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(high)), _mm512_cvtepi16_epi8(low), 1);
    offsets[t] = offset_of(numbers);
  }
  store_turned<2 * kQuads>(words, tokens, to);
}

// One block times M tokens: both planes side by side where they are few, because a single chain of products waits for
// itself then; else one after the other, in half of the registers.
template <int M, class Blocks>
OSSIA_INLINE void add_block(Blocks& blocks, F32 scales, const char* columns, F32 (&sums)[M]) {
  const Word *high = reinterpret_cast<const Word*>(columns), *low = high + kQuads * M, *offsets = low + kQuads * M;
  __m512i whole[M], rest[M], even, odd;
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) whole[m] = _mm512_setzero_si512();
  if constexpr (M <= kMostBeside) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) rest[m] = _mm512_set1_epi32(offsets[m]);
#pragma GCC unroll 4
    for (int i = 0; i < kQuads / 2; ++i) {
      blocks.pair(i, even, odd);
      blocks.fetch(i);
      add_pair<M>(even, odd, high + 2 * i * M, whole);
      add_pair<M>(even, odd, low + 2 * i * M, rest);
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) whole[m] = _mm512_add_epi32(_mm512_slli_epi32(whole[m], 7), rest[m]);
  } else {
    const auto add_plane = [&](const Word* quads, bool fetches) {
#pragma GCC unroll 4
      for (int i = 0; i < kQuads / 2; ++i) {
        blocks.pair(i, even, odd);
        if (fetches) blocks.fetch(i);
        add_pair<M>(even, odd, quads + 2 * i * M, whole);
      }
    };
    add_plane(high, false);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      whole[m] = _mm512_add_epi32(_mm512_slli_epi32(whole[m], 7), _mm512_set1_epi32(offsets[m]));
    }
    add_plane(low, true);
  }
  blocks.end();
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) sums[m] = fma({_mm512_cvtepi32_ps(whole[m])}, scales, sums[m]);
}

// A quarter times the M tokens of a group, of which `columns` are what they give to it.
template <int M, class Blocks, class From>
void add_quarter(From from, const Kept& kept, const Quarter& quarter, const Ahead& ahead, const char* columns,
                 Sums& to) {
  Blocks blocks(from, least(quarter.first, quarter.blocks - 1));
  for (int64_t i = 0; i < kQuarterSums; ++i) {
    F32 sums[M];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = zero();
    for (int64_t line = 0; line < quarter.lines() && quarter.block(i, line) < quarter.blocks; ++line) {
      const int64_t place = quarter.place(i, line);
      ahead.ask(place);
      blocks.ask(quarter.block(i, line), quarter.block(i, line) + kQuarterSums);
      blocks.begin(place, quarter.after(i, line));
      add_block<M>(blocks, load(kept.scales[place]), columns + place * kTokenBytes * M, sums);
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) store(to.of[i][m], sums[m]);
  }
}

// Quarter `number` to the rest, as `sum` of simd.h adds lanes: 0 and 2 in y, 1 and 3 beside it, and then both, with the
// token's scale.
void join(int64_t number, const Sums& sums, float (&waiting)[kMostGrouped][kPanel], const Scale* scales, int64_t tokens,
          float* y, int64_t stride) {
  for (int64_t m = 0; m < tokens; ++m, y += stride) {
    const auto at = [&](int i) { return load(sums.of[i][m]); };
    const F32 sum = add(add(at(0), at(2)), add(at(1), at(3)));
    if (number == 0) store(y, sum);
    if (number == 1) store(waiting[m], sum);
    if (number == 2) store(y, add(load(y), sum));
    if (number == 3) store(y, mul(add(load(y), add(load(waiting[m]), sum)), broadcast(scales[m])));
  }
}

}  // namespace

// A group is its tokens' scales, a cache line, and then what they give to each block, by quarters.
int64_t bytes(int64_t blocks) {
  return kLine + (blocks + kQuarterSums - 1) / kQuarterSums * kQuarterSums * kTokenBytes;
}

void arrange(const void* const* rows, int64_t count, int64_t blocks, char* group) {
  put_scales(rows, count, group);
  char* to = group + kLine;
  for (int64_t number = 0; number < kQuarters; ++number) {
    const Quarter quarter(number, blocks);
    for (int64_t line = 0; line < quarter.lines(); ++line) {
      for (int64_t i = 0; i < quarter.blocks_of(line); ++i) {
        arrange_block(rows, count, quarter.block(i, line), to + quarter.place(i, line) * kTokenBytes * count);
      }
    }
    to += quarter.places() * kTokenBytes * count;
  }
}

void products(const Rows& rows, const char* run, const TokenGroups& groups, float* y, int64_t stride) {
  const int64_t blocks = rows.all.row_blocks;
  const bool fresh = goes_fresh(groups);
  Kept kept;
  Sums sums;
  Waiting waiting;
  each_panel(rows, [&](const Mxfp4Rows& panel, const Mxfp4Rows& next, int64_t r) {
    int64_t before = 0;
    for (int64_t number = 0; number < kQuarters; ++number) {
      const Quarter quarter(number, blocks);
      keep_scales(panel, quarter, kept);
      if (!fresh) keep_weights(panel, quarter, kept);
      const int64_t share = (quarter.places() + groups.count - 1) / groups.count;
      for (int64_t g = 0; g < groups.count; ++g) {
        const int64_t begin = groups.begin(g), tokens = groups.begin(g + 1) - begin, from = before + g * share;
        const Ahead ahead{next, from, least(least(before + quarter.places(), from + share), blocks)};
        const char* group = run + begin * bytes(blocks);
        const char* columns = group + kLine + before * kTokenBytes * tokens;
        if (fresh) {
          with_count<FreshBlocks::kMost>(
              tokens, [&](auto m) { add_quarter<m(), FreshBlocks>(panel, kept, quarter, ahead, columns, sums); });
        } else {
          with_count<KeptBlocks::kMost>(tokens, [&](auto m) {
            add_quarter<m(), KeptBlocks>(kept.weights[0], kept, quarter, ahead, columns, sums);
          });
        }
        join(number, sums, waiting.of[g], reinterpret_cast<const Scale*>(group), tokens, y + begin * stride + r,
             stride);
      }
      before += quarter.places();
    }
  });
}

}  // namespace ossia::whole::planes
