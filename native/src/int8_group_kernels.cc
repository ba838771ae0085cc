// Compiled with the flags of avx512bf16. A quad of 16 rows' bytes comes apart into its even-numbered columns and its
// odd ones, two in 32 bits, and each meets two columns of a token in the processor's products of words. Beside bytes in
// two planes (int8_sums.h) an activation has one sum instead of two, so that twelve tokens' lie in registers with what
// they are added to; and what a group's tokens give to a product lies side by side.

#include "int8_group_kernels.h"

#include "int8_sums.h"
#include "matrix.h"
#include "turn.h"

namespace ossia::groups {
namespace {

using namespace OSSIA_ISA;

// Words of a chunk: of each quad the even-numbered columns and the odd.
constexpr int64_t kWords = kInt8Chunk / 2;

// A group is chunk after chunk its words, [kWords][tokens], and what the weights' zero adds to the sum, [tokens].
constexpr int64_t chunk_bytes(int64_t tokens) { return (kWords + 1) * tokens * static_cast<int64_t>(sizeof(Word)); }

// 32 columns of a token, from its two planes, as words.
OSSIA_INLINE __m512i words_of(const char* high, int64_t plane) {
  const __m512i order = _mm512_set_epi16(31, 29, 30, 28, 27, 25, 26, 24, 23, 21, 22, 20, 19, 17, 18, 16, 15, 13, 14, 12,
                                         11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0);
  const auto widened = [](const char* bytes) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)bytes));
  };
  const __m512i numbers = _mm512_add_epi16(_mm512_slli_epi16(widened(high), 7), widened(high + plane));
  return _mm512_permutexvar_epi16(order, numbers);
}

// One panel, of which `rows` are wanted, times the M tokens of a group, the first of which has the scale `scales`.
template <int M>
void panel_times(const char* panel, const Int8Shape& shape, int rows, const char* group, const float* scales,
                 const Lookahead& ahead, float* y, int64_t stride) {
  const char* bytes = panel + shape.scale_bytes();
  F32 values[M];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) values[m] = zero();
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    const Word* x = reinterpret_cast<const Word*>(group + c * chunk_bytes(M));
    const char* chunk = bytes + c * kInt8ChunkBytes;
    __m512i sums[M];
    ahead.ask(chunk);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int64_t q = 0; q < kInt8Chunk / kQuad; ++q) {
      const __m512i w = _mm512_loadu_si512(chunk + q * kLine);
      const __m512i even = _mm512_and_si512(w, _mm512_set1_epi16(0xFF)), odd = _mm512_srli_epi16(w, 8);
#pragma GCC unroll 12
      for (int m = 0; m < M; ++m) sums[m] = _mm512_dpwssd_epi32(sums[m], even, _mm512_set1_epi32(x[2 * q * M + m]));
#pragma GCC unroll 12
      for (int m = 0; m < M; ++m)
        sums[m] = _mm512_dpwssd_epi32(sums[m], odd, _mm512_set1_epi32(x[(2 * q + 1) * M + m]));
    }
    const F32 factors = widen(reinterpret_cast<const uint16_t*>(panel) + c * kPanelRows);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      const __m512i sum = _mm512_sub_epi32(sums[m], _mm512_set1_epi32(x[kWords * M + m]));
      values[m] = add(values[m], mul({_mm512_cvtepi32_ps(sum)}, factors));
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) store_tail(y + m * stride, mul(values[m], broadcast(scales[m])), rows);
}

// `panel_times` for a number of tokens from 1 to M.
template <int M>
void panel_times_some(int64_t count, const char* panel, const Int8Shape& shape, int rows, const char* group,
                      const float* scales, const Lookahead& ahead, float* y, int64_t stride) {
  if (count == M) return panel_times<M>(panel, shape, rows, group, scales, ahead, y, stride);
  if constexpr (M > 1) panel_times_some<M - 1>(count, panel, shape, rows, group, scales, ahead, y, stride);
}

}  // namespace

void int8_arrange(const Int8Tokens& tokens, const Int8Shape& shape, int64_t group, char* to) {
  const TokenGroups all{tokens.count};
  const int64_t first = all.begin(group), count = all.begin(group + 1) - first;
  const int64_t plane = shape.padded() + kInt8Chunk;
  to += first * int8_group_bytes(shape);
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    Word* words = reinterpret_cast<Word*>(to + c * chunk_bytes(count));
    for (int64_t half = 0; half < 2; ++half) {
      __m512i v[16] = {};
#pragma GCC unroll 16
      for (int t = 0; t < kMostGrouped; ++t) {
        if (t >= count) break;
        v[t] = words_of(tokens.integers + (first + t) * shape.token_bytes() + c * kInt8Chunk + half * kBlock, plane);
      }
      store_turned<kLanes>(v, count, words + half * kLanes * count);
    }
    for (int64_t t = 0; t < count; ++t) words[kWords * count + t] = tokens.offsets[(first + t) * shape.chunks() + c];
  }
}

void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, const char* from,
                   float* y, int64_t stride) {
  const Int8Shape shape{columns};
  const TokenGroups all{tokens.count};
  const Lookahead ahead{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  for (int64_t p = 0; p < panels.count; ++p) {
    const int some = static_cast<int>(least(kPanelRows, rows - p * kPanelRows));
    for (int64_t group = 0; group < all.count; ++group) {
      const int64_t begin = all.begin(group);
      panel_times_some<kMostGrouped>(all.begin(group + 1) - begin, panels.panels + p * shape.panel_bytes(), shape, some,
                                     from + begin * int8_group_bytes(shape), tokens.scales + begin,
                                     group == 0 ? ahead : nothing, y + begin * stride + p * kPanelRows, stride);
    }
  }
}

}  // namespace ossia::groups
