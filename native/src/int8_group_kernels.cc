// Compiled with the flags of avx512bf16. Activations of 15 bits meet a quad of 16 rows' bytes as words: the bytes come
// apart into their even-numbered columns and their odd ones, two in 32 bits, and each meets two columns of a token in
// the processor's products of words. Beside bytes in two planes (int8_sums.h) an activation has one sum instead of two,
// so that twelve tokens' lie in registers with what they are added to; and what a group's tokens give to a product lies
// side by side. Activations of 8 bits meet the bytes as they are: a product instead of two, and nothing comes apart.

#include "int8_group_kernels.h"

#include "coarse_numbers.h"
#include "count.h"
#include "int8_rounding.h"
#include "int8_sums.h"
#include "matrix.h"
#include "same_in_lanes.h"
#include "turn.h"

namespace ossia::groups {
namespace {

using namespace OSSIA_ISA;

// Chunk c of the tokens from `first` on, as int8_pack leaves it.
struct Chunk {
  const Int8Tokens& tokens;
  const Int8Shape& shape;
  int64_t first, c;

  // Half of a token's columns, from its two planes, as words.
  OSSIA_INLINE __m512i words(int64_t t, int64_t half) const {
    const auto widened = [](const char* bytes) {
      return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i*)bytes));
    };
    const char* high = tokens.integers + (first + t) * shape.token_bytes() + c * kInt8Chunk + half * kBlock;
    return _mm512_add_epi16(_mm512_slli_epi16(widened(high), 7), widened(high + shape.padded() + kInt8Chunk));
  }
  int32_t offset(int64_t t) const { return tokens.offsets[(first + t) * shape.chunks() + c]; }
};

// A group is chunk after chunk its tokens' columns as a form has them, [kWords][tokens], and after these what the sum
// begins with, [tokens], so that the weights' zero is taken from it.
//
// 15 bits: of each quad the even-numbered columns, and the odd.
struct Words {
  static constexpr int64_t kWords = kInt8Chunk / 2, kChunkWords = kWords + 1;

  static OSSIA_INLINE void arrange(const Chunk& chunk, int64_t tokens, Word* to) {
    const __m512i order = _mm512_set_epi16(31, 29, 30, 28, 27, 25, 26, 24, 23, 21, 22, 20, 19, 17, 18, 16, 15, 13, 14,
                                           12, 11, 9, 10, 8, 7, 5, 6, 4, 3, 1, 2, 0);
    for (int64_t half = 0; half < 2; ++half) {
      __m512i v[16] = {};
#pragma GCC unroll 16
      for (int t = 0; t < kMostGrouped; ++t) {
        if (t < tokens) v[t] = _mm512_permutexvar_epi16(order, chunk.words(t, half));
      }
      store_turned<kLanes>(v, tokens, to + half * kLanes * tokens);
    }
    for (int64_t t = 0; t < tokens; ++t) to[kWords * tokens + t] = -chunk.offset(t);
  }

  template <int M>
  static OSSIA_INLINE void add(__m512i w, const Word* x, int64_t q, __m512i (&sums)[M]) {
    const __m512i even = _mm512_and_si512(w, _mm512_set1_epi16(0xFF)), odd = _mm512_srli_epi16(w, 8);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = add_words_times(sums[m], even, x + 2 * q * M + m);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = add_words_times(sums[m], odd, x + (2 * q + 1) * M + m);
  }

  // As without a fused multiply-add: sums of 15 bits are the same on every instruction set.
  template <int M>
  static OSSIA_INLINE F32 add_chunk(F32 value, __m512i sum, F32 scales, const Word*, int) {
    return OSSIA_ISA::add(value, mul({_mm512_cvtepi32_ps(sum)}, scales));
  }
};

// 8 bits, with a scale for each chunk, which comes last, [tokens]. A sum ends as a float larger by kRounder, as in
// whole_group_kernels.cc.
struct Bytes {
  static constexpr int64_t kWords = kInt8Chunk / kQuad, kChunkWords = kWords + 2;

  static OSSIA_INLINE void arrange(const Chunk& chunk, int64_t tokens, Word* to) {
    Word* begins = to + kWords * tokens;
    Scale* scales = reinterpret_cast<Scale*>(begins + tokens);
    __m512i v[16] = {};
#pragma GCC unroll 16
    for (int t = 0; t < kMostGrouped; ++t) {
      if (t >= tokens) break;
      const __m512i numbers[] = {chunk.words(t, 0), chunk.words(t, 1)};
      alignas(64) __m128i bytes[4];
      const Coarse own = to_bytes(numbers, bytes);
      v[t] = _mm512_load_si512(bytes);
      begins[t] = kRounderBits - kInt8Zero * own.sum;
      scales[t] = own.scale;
    }
    store_turned<kLanes>(v, tokens, to);
  }

  template <int M>
  static OSSIA_INLINE void add(__m512i w, const Word* x, int64_t q, __m512i (&sums)[M]) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = add_bytes_times(sums[m], w, x + q * M + m);
  }

  template <int M>
  static OSSIA_INLINE F32 add_chunk(F32 value, __m512i sum, F32 scales, const Word* x, int m) {
    const F32 less = mul(scales, broadcast(-kRounder));  // the same for all tokens, and so made once
    const Scale* own = reinterpret_cast<const Scale*>(x + (kWords + 1) * M);
    return fma(fma({_mm512_castsi512_ps(sum)}, scales, less), broadcast(own[m]), value);
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
    const char* later = ahead.of(chunk);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) sums[m] = _mm512_set1_epi32(x[Form::kWords * M + m]);
#pragma GCC unroll 4
    for (int64_t q = 0; q < kInt8Chunk / kQuad; ++q) {
      if (later != chunk) prefetch_far(later + q * kLine);
      Form::template add<M>(_mm512_loadu_si512(chunk + q * kLine), x, q, sums);
    }
    const F32 own = widen(reinterpret_cast<const uint16_t*>(panel) + c * kPanelRows);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) values[m] = Form::template add_chunk<M>(values[m], sums[m], own, x, m);
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) store_tail(y + m * stride, mul(values[m], broadcast(scales[m])), rows);
}

template <class Form>
void arrange_as(const Int8Tokens& tokens, const Int8Shape& shape, int64_t first, int64_t count, char* group) {
  Word* words = reinterpret_cast<Word*>(group);
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    Form::arrange({tokens, shape, first, c}, count, words + c * Form::kChunkWords * count);
  }
}

template <class Form>
void products_as(const Int8Panels& panels, const Int8Shape& shape, int64_t rows, const Int8Tokens& tokens,
                 const char* from, float* y, int64_t stride) {
  const TokenGroups all{tokens.count};
  const Lookahead ahead{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  for (int64_t p = 0; p < panels.count; ++p) {
    const int some = static_cast<int>(least(kPanelRows, rows - p * kPanelRows));
    const char* panel = panels.panels + p * shape.panel_bytes();
    for (int64_t group = 0; group < all.count; ++group) {
      const int64_t begin = all.begin(group);
      with_count<kMostGrouped>(all.begin(group + 1) - begin, [&](auto m) {
        panel_times<Form, m()>(panel, shape, some, from + begin * int8_group_bytes(shape), tokens.scales + begin,
                               group == 0 ? ahead : nothing, y + begin * stride + p * kPanelRows, stride);
      });
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
