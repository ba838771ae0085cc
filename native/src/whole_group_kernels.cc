// Compiled with the flags of avx512bf16 and AVX512_VBMI. Panels of 16 rows meet groups of tokens: a register has some
// columns of each row, and meets as many of a token, so that a row has its sum in a lane.
//
// On a Xeon that begins 740 products of bytes a nanosecond, with weights in the second cache, `Bytes` reach 440 GFLOP/s
// and `Words` 250; on a Zen 4 that begins 466, 345 and 180. Words are for many groups: as two bytes each
// (whole_plane_kernels.cc) a block's sum takes two instructions more.

#include "coarse_numbers.h"
#include "count.h"
#include "int8_rounding.h"
#include "platform.h"
#include "same_in_lanes.h"
#include "turn.h"
#include "whole_panels.h"

namespace ossia::whole::group {
namespace {

// Blocks of the rows whose weights are kept, decoded, for all tokens: 96 KB of them, or 48.
constexpr int64_t kMostKept = 96;

// The same of coarse products with few groups, so that what is kept, 16 KB, stays in the first cache. On a Xeon,
// weights from memory, it takes 0.8 of the time for five tokens, 0.85 for eight and 0.9 for twelve, and 1.02 for sixty.
// Of words sums would have to wait in memory, which costs as much.
constexpr int64_t kFewKept = 32;

// A group is its tokens' scales, a cache line, and then block by block what `Form` says. The blocks, of spans of
// kMostKept of them, are in the order in which they are added: those of the first of its sums, which are `kSums` apart,
// then those of the second, ...
//
// Calls body(block, place) in that order for the blocks `first` up to `first` + `count`, and end(i) after the last of
// those whose sum is number i.
template <class Form, class F, class G>
OSSIA_INLINE void in_order(int64_t first, int64_t count, F&& body, G&& end) {
  int64_t place = first;
  for (int64_t i = 0; i < Form::kSums; ++i) {
    for (int64_t b = i; b < count; b += Form::kSums) body(first + b, place++);
    end(i);
  }
}

// A span's weights, block by block as a form has them, and scales [place][kPanel].
template <int64_t kWeightBytes>
struct alignas(64) Kept {
  char weights[kMostKept * kWeightBytes];
  float scales[kMostKept * kPanel];
};
template <class Form>
using KeptOf = Kept<Form::kWeightBytes>;

// The sums of a panel and some tokens, each of a row's as a register of 16 rows.
struct alignas(64) Lanes {
  float of[kSums][kMostGrouped][kPanel];
};

// 15 bits of an activation: two columns in a word of 32 bits, of a row as twice the weights. Four bytes of a row are
// eight columns: nibble k of their first two bytes and of their last two are a pair.
struct Words {
  static constexpr int64_t kSums = ossia::kSums;
  static constexpr int64_t kCount = kBlock / 2, kWeightBytes = kCount * kLine;
  static constexpr int64_t kTokenBytes = kCount * static_cast<int64_t>(sizeof(Word));  // of a block

  // The lookup takes five bits, and its table is there twice, so that what lies above a nibble does not matter.
  static OSSIA_INLINE void decode(const Mxfp4Rows& rows, int64_t b, char* weights) {
    const __m512i table =
        _mm512_broadcast_i64x4(_mm256_setr_epi16(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12));
    __m512i bytes[4];
    bytes_of_rows(rows, b, bytes);
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const __m512i nibbles = _mm512_srli_epi16(bytes[i / 4], i % 4 * 4);
      _mm512_store_si512(weights + i * kLine, _mm512_permutexvar_epi16(nibbles, table));
    }
  }

  static OSSIA_INLINE void arrange(const void* const* rows, int64_t tokens, int64_t b, char* to) {
    const __m512i order = _mm512_set_epi16(31, 27, 30, 26, 29, 25, 28, 24, 23, 19, 22, 18, 21, 17, 20, 16, 15, 11, 14,
                                           10, 13, 9, 12, 8, 7, 3, 6, 2, 5, 1, 4, 0);
    __m512i words[16] = {};
#pragma GCC unroll 16
    for (int t = 0; t < kMostGrouped; ++t) {
      if (t < tokens) words[t] = _mm512_permutexvar_epi16(order, numbers_of(rows[t], b));
    }
    store_turned<kCount>(words, tokens, to);
  }

  template <int M>
  static OSSIA_INLINE void add(const char* weights, F32 scales, const char* columns, F32 (&sums)[M]) {
    const Word* pairs = reinterpret_cast<const Word*>(columns);
    __m512i whole[M];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) whole[m] = _mm512_setzero_si512();
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const __m512i w = _mm512_load_si512(weights + i * kLine);
#pragma GCC unroll 12
      for (int m = 0; m < M; ++m) whole[m] = add_words_times(whole[m], w, pairs + i * M + m);
    }
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = fma({_mm512_cvtepi32_ps(whole[m])}, scales, sums[m]);
  }
};

// 8 bits of an activation, with a scale for each block, and quads of weights. Of each token come, after its columns,
// what the block's sum begins with, and the scale. Nothing else adds in this order, so a row has one sum, which stays
// in its register.
//
// A sum begins with what the 12 adds to it and with kRounderBits: so it ends as a float, which is larger by kRounder.
// `Scaling` takes that away and multiplies by both scales: the same bits, whichever it is.
template <class Scaling>
struct BytesBy {
  static constexpr int64_t kSums = 1;
  static constexpr int64_t kCount = kBlock / kQuad, kWeightBytes = kQuadBytes;
  static constexpr int64_t kTokenBytes = (kCount + 2) * static_cast<int64_t>(sizeof(Word));

  static OSSIA_INLINE void decode(const Mxfp4Rows& rows, int64_t b, char* weights) { decode_quads(rows, b, weights); }

  static OSSIA_INLINE void arrange(const void* const* rows, int64_t tokens, int64_t b, char* to) {
    __m512i words[16] = {};
    Word* begins = reinterpret_cast<Word*>(to + kCount * tokens * static_cast<int64_t>(sizeof(Word)));
    Scale* scales = reinterpret_cast<Scale*>(begins + tokens);
#pragma GCC unroll 16
    for (int t = 0; t < kMostGrouped; ++t) {
      if (t >= tokens) break;
      const __m512i numbers[] = {numbers_by_quads(rows[t], b)};
      alignas(32) __m128i bytes[2];
      const Coarse own = to_bytes(numbers, bytes);
      words[t] = _mm512_castsi256_si512(_mm256_load_si256((const __m256i*)bytes));
      begins[t] = kRounderBits - 12 * own.sum;
      scales[t] = own.scale;
    }
    store_turned<kCount>(words, tokens, to);
  }

  template <int M, class Blocks>
  static OSSIA_INLINE void add(Blocks& blocks, F32 scales, const char* columns, F32 (&sums)[M]) {
    const Word* quads = reinterpret_cast<const Word*>(columns);
    const Word* begins = quads + kCount * M;
    const Scale* own = reinterpret_cast<const Scale*>(begins + M);
    const Scaling scaling(scales);
    __m512i whole[M];
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) whole[m] = _mm512_set1_epi32(begins[m]);
#pragma GCC unroll 4
    for (int i = 0; i < kCount / 2; ++i) {
      __m512i even, odd;
      blocks.pair(i, even, odd);
      blocks.fetch(i);
      add_pair<M>(even, odd, quads + 2 * i * M, whole);
    }
    blocks.end();
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = scaling.add({_mm512_castsi512_ps(whole[m])}, own[m], sums[m]);
  }
};

// A fused multiply-add takes kRounder away as it multiplies by the rows' scales, another multiplies by the token's.
struct Multiplied {
  F32 scales, less;

  explicit OSSIA_INLINE Multiplied(F32 scales) : scales(scales), less(mul(scales, broadcast(-kRounder))) {}
  OSSIA_INLINE F32 add(F32 rounded, Scale own, F32 sum) const {
    return fma(fma(rounded, scales, less), broadcast(own), sum);
  }
};

// The rows' scales are powers of two, so that they are added to the exponent of the token's. Two additions and a
// product in place of two products, which pays where additions have units of their own: on a Zen 4 345 GFLOP/s instead
// of 312, sixty tokens. The scales must be such that no exponent leaves its bits: those of kLeastShifted to
// kMostShifted, since the token's are 2^-7 to 2^7.
struct Shifted {
  __m512i exponents;

  explicit OSSIA_INLINE Shifted(F32 scales)
      : exponents(_mm512_sub_epi32(_mm512_castps_si512(scales.v), _mm512_set1_epi32(kOneBits))) {}
  OSSIA_INLINE F32 add(F32 rounded, Scale own, F32 sum) const {
    const __m512i both = _mm512_add_epi32(exponents, _mm512_set1_epi32(static_cast<int32_t>(as_bits(own))));
    return fma(sub(rounded, broadcast(kRounder)), {_mm512_castsi512_ps(both)}, sum);
  }

  static constexpr int32_t kOneBits = 127 << 23, kLeastShifted = 8 << 23, kMostShifted = 247 << 23;

  static bool can(const float* scales, int64_t count) {
    __mmask16 beyond = 0;
    for (int64_t i = 0; i < count; i += kPanel) {
      const __m512i bits = _mm512_load_si512(scales + i);
      beyond |= _mm512_cmplt_epi32_mask(bits, _mm512_set1_epi32(kLeastShifted));
      beyond |= _mm512_cmpgt_epi32_mask(bits, _mm512_set1_epi32(kMostShifted));
    }
    return beyond == 0;
  }
};

using Bytes = BytesBy<Multiplied>;

// `count` blocks of 16 rows from block `first` on: the scales, and beside them the weights if `has_weights`.
template <class Form>
void keep(const Mxfp4Rows& rows, int64_t first, int64_t count, bool has_weights, KeptOf<Form>& kept) {
  int64_t places[kMostKept];
  in_order<Form>(first, count, [&](int64_t b, int64_t place) { places[b - first] = place - first; }, [](int64_t) {});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t b = first + i;
    if (i % ossia::kSums == 0) {
      decode_scales<ossia::kSums>(rows, b, count - i, [&](int64_t k) { return kept.scales + places[i + k] * kPanel; });
    }
    if (!has_weights) continue;
    ask_soon(rows, b, b + kBlocksOfLine);
    Form::decode(rows, b, kept.weights + places[i] * Form::kWeightBytes);
  }
}

// A span of `count` blocks, whose words are kept, times M tokens, whose sums of the blocks before it are in `lanes`.
template <int M>
OSSIA_INLINE void add_words(const KeptOf<Words>& kept, const Ahead& ahead, int64_t first, int64_t count,
                            const char* group, Lanes& lanes) {
  F32 sums[M];
  const auto begin = [&](int64_t i) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = first == 0 ? zero() : load(lanes.of[lane_of(i)][m]);
  };
  begin(0);
  in_order<Words>(
      first, count,
      [&](int64_t, int64_t place) {
        ahead.ask(place);
        Words::add<M>(kept.weights + (place - first) * Words::kWeightBytes,
                      load(kept.scales + (place - first) * kPanel), group + kLine + place * Words::kTokenBytes * M,
                      sums);
      },
      [&](int64_t i) {
#pragma GCC unroll 12
        for (int m = 0; m < M; ++m) store(lanes.of[lane_of(i)][m], sums[m]);
        if (i + 1 < kSums) begin(i + 1);
      });
}

// Adds the lanes as `sum` of simd.h does.
OSSIA_INLINE F32 sum_of_lanes(const Lanes& lanes, int m) {
  F32 sums[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = load(lanes.of[i][m]);
#pragma GCC unroll 4
  for (int half = kSums / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) sums[i] = add(sums[i], sums[i + half]);
  }
  return sums[0];
}

// A panel times the M tokens of a group; `kept` has its weights already, or is to have them.
template <int M>
void words_times(const Mxfp4Rows& rows, const Ahead& ahead, bool has_them, KeptOf<Words>& kept, const char* group,
                 float* y, int64_t stride) {
  const int64_t blocks = rows.row_blocks;
  const Scale* scales = reinterpret_cast<const Scale*>(group);
  Lanes lanes;
  for (int64_t b = 0; b < blocks; b += kMostKept) {
    const int64_t count = least(kMostKept, blocks - b);
    if (!has_them) keep<Words>(rows, b, count, true, kept);
    add_words<M>(kept, ahead, b, count, group, lanes);
  }
  for (int m = 0; m < M; ++m) store(y + m * stride, mul(sum_of_lanes(lanes, m), broadcast(scales[m])));
}

// A panel's span times the M tokens of a group; y has what the spans before it gave, and at the end all. Not inlined,
// because among others' the compiler keeps its registers in memory, for 1.6 times as long.
template <class Scaling, int M, class Blocks, class From>
__attribute__((noinline)) void bytes_times(From from, const KeptOf<Bytes>& kept, const Ahead& ahead, int64_t first,
                                           int64_t count, bool is_last, const char* group, float* y, int64_t stride) {
  const Scale* scales = reinterpret_cast<const Scale*>(group);
  Blocks blocks(from, first);
  F32 sums[M];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) sums[m] = first == 0 ? zero() : load(y + m * stride);
  for (int64_t i = 0; i < count; ++i) {
    ahead.ask(first + i);
    blocks.begin(i, first + least(i + 1, count - 1));
    BytesBy<Scaling>::template add<M>(blocks, load(kept.scales + i * kPanel),
                                      group + kLine + (first + i) * Bytes::kTokenBytes * M, sums);
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) store(y + m * stride, is_last ? mul(sums[m], broadcast(scales[m])) : sums[m]);
}

template <class Form>
void arrange_as(const void* const* rows, int64_t count, int64_t blocks, char* group) {
  put_scales(rows, count, group);
  const auto put = [&](int64_t b, int64_t place) {
    Form::arrange(rows, count, b, group + kLine + place * Form::kTokenBytes * count);
  };
  for (int64_t b = 0; b < blocks; b += kMostKept) in_order<Form>(b, least(kMostKept, blocks - b), put, [](int64_t) {});
}

void words_products(const Rows& rows, const char* run, const TokenGroups& groups, float* y, int64_t stride) {
  const int64_t blocks = rows.all.row_blocks;
  const int64_t share = (blocks + groups.count - 1) / groups.count;
  KeptOf<Words> kept;
  each_panel(rows, [&](const Mxfp4Rows& panel, const Mxfp4Rows& next, int64_t r) {
    for (int64_t g = 0; g < groups.count; ++g) {
      const int64_t begin = groups.begin(g);
      const Ahead ahead{next, g * share, least(blocks, (g + 1) * share)};
      with_count<kMostGrouped>(groups.begin(g + 1) - begin, [&](auto m) {
        words_times<m()>(panel, ahead, g > 0 && blocks <= kMostKept, kept, run + begin * bytes(blocks),
                         y + begin * stride + r, stride);
      });
    }
  });
}

// A span of a panel times all groups.
template <class Blocks, class From>
void span_times(From from, bool shifts, const KeptOf<Bytes>& kept, const Mxfp4Rows& next, int64_t first, int64_t count,
                const char* run, const TokenGroups& groups, float* y, int64_t stride) {
  const int64_t blocks = next.row_blocks, share = (count + groups.count - 1) / groups.count;
  for (int64_t g = 0; g < groups.count; ++g) {
    const int64_t begin = groups.begin(g);
    const Ahead ahead{next, g * share, least(first + count, first + (g + 1) * share)};
    with_count<Blocks::kMost>(groups.begin(g + 1) - begin, [&](auto m) {
      const auto times = shifts ? bytes_times<Shifted, m(), Blocks, From> : bytes_times<Multiplied, m(), Blocks, From>;
      times(from, kept, ahead, first, count, first + count == blocks, run + begin * bytes(blocks), y + begin * stride,
            stride);
    });
  }
}

void bytes_products(const Rows& rows, const char* run, const TokenGroups& groups, float* y, int64_t stride) {
  const bool fresh = goes_fresh(groups), apart = adds_apart();
  const int64_t blocks = rows.all.row_blocks, most = fresh || groups.count > kFewGroups ? kMostKept : kFewKept;
  KeptOf<Bytes> kept;
  each_panel(rows, [&](const Mxfp4Rows& panel, const Mxfp4Rows& next, int64_t r) {
    for (int64_t b = 0; b < blocks; b += most) {
      const int64_t count = least(most, blocks - b);
      keep<Bytes>(panel, b, count, !fresh, kept);
      const bool shifts = apart && Shifted::can(kept.scales, count * kPanel);
      if (fresh) {
        span_times<FreshBlocks>(panel, shifts, kept, next, b, count, run, groups, y + r, stride);
      } else {
        const char* const weights = kept.weights;
        span_times<KeptBlocks>(weights, shifts, kept, next, b, count, run, groups, y + r, stride);
      }
    }
  });
}

}  // namespace

int64_t bytes(int64_t blocks) { return kLine + blocks * Words::kTokenBytes; }

void arrange(const void* const* rows, int64_t count, int64_t blocks, bool coarse, char* group) {
  if (coarse) return arrange_as<Bytes>(rows, count, blocks, group);
  arrange_as<Words>(rows, count, blocks, group);
}

void products(const Rows& rows, const char* run, const TokenGroups& groups, bool coarse, float* y, int64_t stride) {
  (coarse ? bytes_products : words_products)(rows, run, groups, y, stride);
}

}  // namespace ossia::whole::group
