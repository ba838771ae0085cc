// Whole numbers of 15 bits rounded once more, to 8 bits with a scale that some of them share.

#ifndef OSSIA_COARSE_NUMBERS_H_
#define OSSIA_COARSE_NUMBERS_H_

#include "int8.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {

// Their scale in units of the one that they had, 1 where all are 0, and their sum.
struct Coarse {
  float scale;
  int32_t sum;
};

// 32 numbers a register as bytes, in their order: multiples of the largest magnitude over 127.
template <int kRegisters>
OSSIA_INLINE Coarse to_bytes(const __m512i (&numbers)[kRegisters], __m128i (&bytes)[2 * kRegisters]) {
  __m512i parts[2 * kRegisters], largest = _mm512_setzero_si512(), sum = _mm512_setzero_si512();
#pragma GCC unroll 4
  for (int i = 0; i < 2 * kRegisters; ++i) {
    const __m512i both = numbers[i / 2];
    parts[i] = _mm512_cvtepi16_epi32(i % 2 ? _mm512_extracti64x4_epi64(both, 1) : _mm512_castsi512_si256(both));
    largest = _mm512_max_epi32(largest, _mm512_abs_epi32(parts[i]));
  }
  const float most = static_cast<float>(_mm512_reduce_max_epi32(largest));
  const __m512 factor = _mm512_set1_ps(most == 0 ? 0.f : kInt8Largest / most);
#pragma GCC unroll 4
  for (int i = 0; i < 2 * kRegisters; ++i) {
    parts[i] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(parts[i]), factor));
    sum = _mm512_add_epi32(sum, parts[i]);
    bytes[i] = _mm512_cvtepi32_epi8(parts[i]);
  }
  return {most == 0 ? 1.f : most / kInt8Largest, _mm512_reduce_add_epi32(sum)};
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_COARSE_NUMBERS_H_
