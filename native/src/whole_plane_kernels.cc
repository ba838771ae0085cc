// Compiled with the flags of avx512bf16 and AVX512_VBMI. Whole numbers as bytes, two for 15 bits and three for 23, for
// a few groups of tokens: with quads of weights, half the words that a panel's are for pairs, what is kept of a panel
// stays in the first cache. Of 15 bits a block's sum takes two instructions more, so that many groups, which hardly
// decode, are better done with words (whole_group_kernels.cc), unless these two are additions that cost nothing beside
// products.
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

// Up to so many tokens have all planes in registers at once.
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

// Of a token and block: the quads of each plane, the highest first; what the 12 of the weights adds to the block's sum;
// and the block's scale if it has one.
constexpr int64_t kQuads = kBlock / kQuad;
template <class Form>
constexpr int64_t kTokenBytes = (Form::kPlanes * kQuads + 1 + Form::kScalesBlocks) * static_cast<int64_t>(sizeof(Word));

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

// The quads of a block's bytes, of each eight columns the even-numbered and then the odd.
OSSIA_INLINE __m256i by_quads(__m128i even, __m128i odd) {
  return _mm256_set_m128i(_mm_unpackhi_epi32(even, odd), _mm_unpacklo_epi32(even, odd));
}

template <class Form>
void arrange_block(const void* const* rows, int64_t tokens, int64_t blocks, int64_t b, char* to) {
  __m512i words[Form::kPlanes][16] = {};
  Word* offsets = reinterpret_cast<Word*>(to) + Form::kPlanes * kQuads * tokens;
  Scale* scales = reinterpret_cast<Scale*>(offsets + tokens);
#pragma GCC unroll 16
  for (int t = 0; t < kMostGrouped; ++t) {
    if (t >= tokens) break;
    __m512i even, odd;
    Form::read(rows[t], b, even, odd);
    offsets[t] = offset_of(even, odd);
    if constexpr (Form::kScalesBlocks) scales[t] = Form::block_scale(rows[t], blocks, b);
#pragma GCC unroll 3
    for (int plane = Form::kPlanes - 1; plane >= 0; --plane) {
      const __m128i even_bytes = take_byte(even);
      words[plane][t] = _mm512_castsi256_si512(by_quads(even_bytes, take_byte(odd)));
    }
  }
#pragma GCC unroll 3
  for (int plane = 0; plane < Form::kPlanes; ++plane) {
    store_turned<kQuads>(words[plane], tokens, reinterpret_cast<Word*>(to) + plane * kQuads * tokens);
  }
}

// One block times M tokens: all planes side by side where they are few, because a single chain of products waits for
// itself then; else one after the other, in as many registers as one takes.
template <class Form, int M, class Blocks>
OSSIA_INLINE void add_block(Blocks& blocks, F32 scales, const char* columns, F32 (&sums)[M]) {
  constexpr int kPlanes = Form::kPlanes, kLast = kPlanes - 1;
  const Word *quads = reinterpret_cast<const Word*>(columns), *offsets = quads + kPlanes * kQuads * M;
  const Scale* own = reinterpret_cast<const Scale*>(offsets + M);
  __m512i whole[M], even, odd;
  const auto begin = [&](int plane, __m512i(&to)[M]) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) to[m] = plane == kLast ? _mm512_set1_epi32(offsets[m]) : _mm512_setzero_si512();
  };
  // 256 times what is above a plane is part of its sums.
  const auto lower = [&](const auto& more) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) whole[m] = _mm512_add_epi32(_mm512_slli_epi32(whole[m], 8), more(m));
  };
  if constexpr (M <= kMostBeside) {
    __m512i rest[kLast][M];
    begin(0, whole);
#pragma GCC unroll 3
    for (int plane = 1; plane < kPlanes; ++plane) begin(plane, rest[plane - 1]);
#pragma GCC unroll 4
    for (int i = 0; i < kQuads / 2; ++i) {
      blocks.pair(i, even, odd);
      blocks.fetch(i);
      add_pair<M>(even, odd, quads + 2 * i * M, whole);
#pragma GCC unroll 3
      for (int plane = 1; plane < kPlanes; ++plane) {
        add_pair<M>(even, odd, quads + (plane * kQuads + 2 * i) * M, rest[plane - 1]);
      }
    }
#pragma GCC unroll 3
    for (int plane = 1; plane < kPlanes; ++plane) lower([&](int m) { return rest[plane - 1][m]; });
  } else {
    begin(0, whole);
#pragma GCC unroll 3
    for (int plane = 0; plane < kPlanes; ++plane) {
      if (plane == kLast) lower([&](int m) { return _mm512_set1_epi32(offsets[m]); });
      if (plane > 0 && plane < kLast) lower([&](int) { return _mm512_setzero_si512(); });
#pragma GCC unroll 4
      for (int i = 0; i < kQuads / 2; ++i) {
        blocks.pair(i, even, odd);
        if (plane == kLast) blocks.fetch(i);
        add_pair<M>(even, odd, quads + (plane * kQuads + 2 * i) * M, whole);
      }
    }
  }
  blocks.end();
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    const F32 scale = Form::kScalesBlocks ? broadcast(own[m]) : zero();
    sums[m] = fma(in_scale<Form>(whole[m], scale), scales, sums[m]);
  }
}

// A quarter times the M tokens of a group, of which `columns` are what they give to it.
template <class Form, int M, class Blocks, class From>
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
      add_block<Form, M>(blocks, load(kept.scales[place]), columns + place * kTokenBytes<Form> * M, sums);
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
template <class Form>
int64_t bytes(int64_t blocks) {
  return kLine + (blocks + kQuarterSums - 1) / kQuarterSums * kQuarterSums * kTokenBytes<Form>;
}

template <class Form>
void arrange(const void* const* rows, int64_t count, int64_t blocks, char* group) {
  put_scales(rows, count, group);
  char* to = group + kLine;
  for (int64_t number = 0; number < kQuarters; ++number) {
    const Quarter quarter(number, blocks);
    for (int64_t line = 0; line < quarter.lines(); ++line) {
      for (int64_t i = 0; i < quarter.blocks_of(line); ++i) {
        arrange_block<Form>(rows, count, blocks, quarter.block(i, line),
                            to + quarter.place(i, line) * kTokenBytes<Form> * count);
      }
    }
    to += quarter.places() * kTokenBytes<Form> * count;
  }
}

template <class Form>
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
        const char* group = run + begin * bytes<Form>(blocks);
        const char* columns = group + kLine + before * kTokenBytes<Form> * tokens;
        if (fresh) {
          with_count<FreshBlocks::kMost>(
              tokens, [&](auto m) { add_quarter<Form, m(), FreshBlocks>(panel, kept, quarter, ahead, columns, sums); });
        } else {
          with_count<KeptBlocks::kMost>(tokens, [&](auto m) {
            add_quarter<Form, m(), KeptBlocks>(kept.weights[0], kept, quarter, ahead, columns, sums);
          });
        }
        join(number, sums, waiting.of[g], reinterpret_cast<const Scale*>(group), tokens, y + begin * stride + r,
             stride);
      }
      before += quarter.places();
    }
  });
}

template int64_t bytes<Middle>(int64_t);
template int64_t bytes<Fine>(int64_t);
template void arrange<Middle>(const void* const*, int64_t, int64_t, char*);
template void arrange<Fine>(const void* const*, int64_t, int64_t, char*);
template void products<Middle>(const Rows&, const char*, const TokenGroups&, float*, int64_t);
template void products<Fine>(const Rows&, const char*, const TokenGroups&, float*, int64_t);

}  // namespace ossia::whole::planes
