// A row of activations as whole numbers, packed: `Middle`, of 15 bits, and `Fine`, of 23. And how their bytes, one
// plane for each, meet a block of weights.

#ifndef OSSIA_WHOLE_NUMBERS_H_
#define OSSIA_WHOLE_NUMBERS_H_

#include "int8.h"
#include "int8_rounding.h"
#include "matrix.h"
#include "simd.h"
#include "whole_kernels.h"

namespace ossia::whole {

using namespace OSSIA_ISA;

// A packed row: its scale, which has a cache line to itself, and its columns.
OSSIA_INLINE float scale_of(const void* row) {
  float scale;
  memcpy(&scale, row, sizeof(scale));
  return scale;
}
OSSIA_INLINE void set_scale(void* to, float scale) { memcpy(to, &scale, sizeof(scale)); }
OSSIA_INLINE void* columns_of(void* row) { return static_cast<char*>(row) + kLine; }
OSSIA_INLINE const void* columns_of(const void* row) { return static_cast<const char*>(row) + kLine; }

// Numbers of 15 bits.
struct Middle {
  static constexpr int kPlanes = 2;  // bytes of a number
  static constexpr bool kScalesBlocks = false;

  static int64_t row_bytes(int64_t blocks) { return kLine + blocks * kLine; }
  static void pack(const float* x, int64_t blocks, void* row) {
    const Unit unit = unit_of(x, blocks * kBlock, kActivationLargest);
    set_scale(row, unit.scale / 2);  // weights are looked up doubled
    int16_t* to = static_cast<int16_t*>(columns_of(row));
    for (int64_t c = 0; c < blocks * kBlock; c += kBlock) {
      int32_t integers[kBlock];
      to_integers(x + c, kBlock, unit.factor, integers);
      for (int64_t i = 0; i < kBlock; ++i) to[c + i] = static_cast<int16_t>(integers[i]);
    }
  }
  // The numbers of block b: of the even-numbered columns, and of the odd.
  static OSSIA_INLINE void read(const void* row, int64_t b, __m512i& even, __m512i& odd) {
    const __m512i both = _mm512_load_si512(static_cast<const int16_t*>(columns_of(row)) + b * kBlock);
    even = _mm512_srai_epi32(_mm512_slli_epi32(both, 16), 16);
    odd = _mm512_srai_epi32(both, 16);
  }
};

// Numbers of 23 bits: those of the even-numbered columns of a block, and those of the odd. The blocks' scales are
// behind all columns, and the row's is 1.
struct Fine {
  static constexpr int kPlanes = 3;
  static constexpr bool kScalesBlocks = true;
  // A sum of 32 bits holds its products with a block, twice 32 weights of at most 6; those of 5592406 it would not,
  // which the odd number before it, times a rounded factor, may become. An even one stays, since ties go to even.
  static constexpr float kLargest = 5592404.f;

  static int64_t scales_at(int64_t blocks) { return kLine + blocks * 2 * kLine; }
  static int64_t row_bytes(int64_t blocks) {
    return scales_at(blocks) + (blocks * static_cast<int64_t>(sizeof(float)) + kLine - 1) / kLine * kLine;
  }
  static void pack(const float* x, int64_t blocks, void* row) {
    set_scale(row, 1.f);
    int32_t* to = static_cast<int32_t*>(columns_of(row));
    char* scales = static_cast<char*>(row) + scales_at(blocks);
    for (int64_t b = 0; b < blocks; ++b, x += kBlock, to += kBlock) {
      const Unit unit = unit_of(x, kBlock, kLargest);
      set_scale(scales + b * static_cast<int64_t>(sizeof(float)), unit.scale / 2);  // weights are looked up doubled
      // With a factor of 0, which stands for values that are not finite too, numbers are 0.
      const __mmask16 any = unit.factor == 0.f ? 0 : 0xFFFF;
      F32 even, odd;
      load_pairs(x, even, odd);
      const F32 factor = broadcast(unit.factor);
      _mm512_store_si512(to, _mm512_maskz_cvtps_epi32(any, mul(even, factor).v));
      _mm512_store_si512(to + kLanes, _mm512_maskz_cvtps_epi32(any, mul(odd, factor).v));
    }
  }
  static OSSIA_INLINE void read(const void* row, int64_t b, __m512i& even, __m512i& odd) {
    const int32_t* columns = static_cast<const int32_t*>(columns_of(row)) + b * kBlock;
    even = _mm512_load_si512(columns);
    odd = _mm512_load_si512(columns + kLanes);
  }
  static OSSIA_INLINE float block_scale(const void* row, int64_t blocks, int64_t b) {
    return scale_of(static_cast<const char*>(row) + scales_at(blocks) + b * static_cast<int64_t>(sizeof(float)));
  }
};

// The lowest byte of each number, between -128 and 127, and in its place the rest of the number.
OSSIA_INLINE __m128i take_byte(__m512i& numbers) {
  const __m128i low = _mm512_cvtepi32_epi8(numbers);
  numbers = _mm512_srai_epi32(_mm512_add_epi32(numbers, _mm512_set1_epi32(128)), 8);
  return low;
}

// What the 12 of a lookup adds to the sum of a block's products with these numbers, taken away.
OSSIA_INLINE int32_t offset_of(__m512i even, __m512i odd) {
  return -12 * _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd));
}

// A block's sums in float32, as they are added to others before they meet the scales of the weights.
template <class Form>
OSSIA_INLINE F32 in_scale(__m512i sums, F32 own) {
  const F32 whole{_mm512_cvtepi32_ps(sums)};
  if constexpr (Form::kScalesBlocks) return mul(whole, own);
  return whole;
}

}  // namespace ossia::whole

#endif  // OSSIA_WHOLE_NUMBERS_H_
