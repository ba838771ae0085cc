// Compiled with the flags of avx512bf16. Activations of 15 bits meet a quad of 16 rows' bytes as words: the bytes come
// apart into their even-numbered columns and their odd ones, two in 32 bits, and each meets two columns of a token in
// the processor's products of words. Beside bytes in two planes (int8_sums.h) an activation has one sum instead of two,
// so that twelve tokens' lie in registers with what they are added to; and what a group's tokens give to a product lies
// side by side. Activations of 8 bits meet the bytes as they are: a product instead of two, and nothing comes apart.

#include "int8_group_kernels.h"

#include "coarse_numbers.h"
#include "int8_sums.h"
#include "matrix.h"
#include "turn.h"

namespace ossia::groups {
namespace {

using namespace OSSIA_ISA;

// 32 columns of a token, from its two planes, as words.
OSSIA_INLINE __m512i words_of(const char* high, int64_t plane) {
  const auto widened = [](const char* bytes) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)bytes));
  };
  return _mm512_add_epi16(_mm512_slli_epi16(widened(high), 7), widened(high + plane));
}

// A group is chunk after chunk its tokens' columns as a form has them, [kWords][tokens], and after these what the
// weights' zero adds to the sum, [tokens].
//
// 15 bits: of each quad the even-numbered columns, and the odd.
struct Words {
  static constexpr int64_t kWords = kInt8Chunk / 2, kChunkWords = kWords + 1;

  static OSSIA_INLINE void arrange(const char* const* columns, int64_t plane, int64_t tokens, Word* to) {
    const __m512i order = _mm512_set_epi16(31, 29, 30, 28, 27, 25, 26, 24, 23, 21, 22, 20, 19, 17, 18, 16, 15, 13, 14,
                                           12, 11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0);
    for (int64_t half = 0; half < 2; ++half) {
      __m512i v[16] = {};
#pragma GCC unroll 16
      for (int t = 0; t < kMostGrouped; ++t) {
        if (t < tokens) v[t] = _mm512_permutexvar_epi16(order, words_of(columns[t] + half * kBlock, plane));
      }
      store_turned<kLanes>(v, tokens, to + half * kLanes * tokens);
    }
  }

  template <int M>
  static OSSIA_INLINE void add(__m512i w, const Word* x, int64_t q, __m512i (&sums)[M]) {
    const __m512i even = _mm512_and_si512(w, _mm512_set1_epi16(0xFF)), odd = _mm512_srli_epi16(w, 8);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_dpwssd_epi32(sums[m], even, _mm512_set1_epi32(x[2 * q * M + m]));
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_dpwssd_epi32(sums[m], odd, _mm512_set1_epi32(x[(2 * q + 1) * M + m]));
  }

  template <int M>
  static OSSIA_INLINE F32 factors(F32 scales, const Word*, int) {
    return scales;
  }
};

// 8 bits, with a scale for each chunk, which comes last, [tokens].
struct Bytes {
  static constexpr int64_t kWords = kInt8Chunk / kQuad, kChunkWords = kWords + 2;

  static OSSIA_INLINE void arrange(const char* const* columns, int64_t plane, int64_t tokens, Word* to) {
    Word* offsets = to + kWords * tokens;
    Scale* scales = reinterpret_cast<Scale*>(offsets + tokens);
    __m512i v[16] = {};
#pragma GCC unroll 16
    for (int t = 0; t < kMostGrouped; ++t) {
      if (t >= tokens) break;
      const __m512i numbers[] = {words_of(columns[t], plane), words_of(columns[t] + kBlock, plane)};
      alignas(64) __m128i bytes[4];
      const Coarse own = to_bytes(numbers, bytes);
      v[t] = _mm512_load_si512(bytes);
      offsets[t] = kInt8Zero * own.sum;
      scales[t] = own.scale;
    }
    store_turned<kLanes>(v, tokens, to);
  }

  template <int M>
  static OSSIA_INLINE void add(__m512i w, const Word* x, int64_t q, __m512i (&sums)[M]) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_dpbusd_epi32(sums[m], w, _mm512_set1_epi32(x[q * M + m]));
  }

  template <int M>
  static OSSIA_INLINE F32 factors(F32 scales, const Word* x, int m) {
    return mul(scales, broadcast(reinterpret_cast<const Scale*>(x + (kWords + 1) * M)[m]));
  }
};

// One panel, of which `rows` are wanted, times the M tokens of a group, the first of which has the scale `scales`.
template <class Form, int M>
void panel_times(const char* panel, const Int8Shape& shape, int rows, const char* group, const float* scales,
                 const Lookahead& ahead, float* y, int64_t stride) {
  const char* bytes = panel + shape.scale_bytes();
  F32 values[M];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) values[m] = zero();
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    const Word* x = reinterpret_cast<const Word*>(group) + c * Form::kChunkWords * M;
    const char* chunk = bytes + c * kInt8ChunkBytes;
    __m512i sums[M];
    ahead.ask(chunk);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int64_t q = 0; q < kInt8Chunk / kQuad; ++q) {
      Form::template add<M>(_mm512_loadu_si512(chunk + q * kLine), x, q, sums);
    }
    const F32 own = widen(reinterpret_cast<const uint16_t*>(panel) + c * kPanelRows);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      const __m512i sum = _mm512_sub_epi32(sums[m], _mm512_set1_epi32(x[Form::kWords * M + m]));
      values[m] = add(values[m], mul({_mm512_cvtepi32_ps(sum)}, Form::template factors<M>(own, x, m)));
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) store_tail(y + m * stride, mul(values[m], broadcast(scales[m])), rows);
}

// `panel_times` for a number of tokens from 1 to M.
template <class Form, int M>
void panel_times_some(int64_t count, const char* panel, const Int8Shape& shape, int rows, const char* group,
                      const float* scales, const Lookahead& ahead, float* y, int64_t stride) {
  if (count == M) return panel_times<Form, M>(panel, shape, rows, group, scales, ahead, y, stride);
  if constexpr (M > 1) panel_times_some<Form, M - 1>(count, panel, shape, rows, group, scales, ahead, y, stride);
}

template <class Form>
void arrange_as(const Int8Tokens& tokens, const Int8Shape& shape, int64_t first, int64_t count, char* group) {
  const int64_t plane = shape.padded() + kInt8Chunk;
  const char* columns[kMostGrouped];
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    Word* words = reinterpret_cast<Word*>(group) + c * Form::kChunkWords * count;
    for (int64_t t = 0; t < count; ++t) {
      columns[t] = tokens.integers + (first + t) * shape.token_bytes() + c * kInt8Chunk;
      words[Form::kWords * count + t] = tokens.offsets[(first + t) * shape.chunks() + c];
    }
    Form::arrange(columns, plane, count, words);
  }
}

template <class Form>
void products_as(const Int8Panels& panels, const Int8Shape& shape, int64_t rows, const Int8Tokens& tokens,
                 const char* from, float* y, int64_t stride) {
  const TokenGroups all{tokens.count};
  const Lookahead ahead{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  for (int64_t p = 0; p < panels.count; ++p) {
    const int some = static_cast<int>(least(kPanelRows, rows - p * kPanelRows));
    for (int64_t group = 0; group < all.count; ++group) {
      const int64_t begin = all.begin(group);
      panel_times_some<Form, kMostGrouped>(all.begin(group + 1) - begin, panels.panels + p * shape.panel_bytes(), shape,
                                           some, from + begin * int8_group_bytes(shape), tokens.scales + begin,
                                           group == 0 ? ahead : nothing, y + begin * stride + p * kPanelRows, stride);
    }
  }
}

}  // namespace

void int8_arrange(const Int8Tokens& tokens, const Int8Shape& shape, int64_t group, bool coarse, char* to) {
  const TokenGroups all{tokens.count};
  const int64_t first = all.begin(group), count = all.begin(group + 1) - first;
  (coarse ? arrange_as<Bytes> : arrange_as<Words>)(tokens, shape, first, count, to + first * int8_group_bytes(shape));
}

void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, const char* from,
                   bool coarse, float* y, int64_t stride) {
  const Int8Shape shape{columns};
  (coarse ? products_as<Bytes> : products_as<Words>)(panels, shape, rows, tokens, from, y, stride);
}

}  // namespace ossia::groups
