// simd.h for AVX-512 (F, BW, DQ, VL): F32 is one register.

#ifndef OSSIA_SIMD_AVX512_H_
#define OSSIA_SIMD_AVX512_H_

#include <immintrin.h>

namespace ossia::OSSIA_ISA {

struct F32 {
  __m512 v;
};

OSSIA_INLINE __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1u << n) - 1); }

OSSIA_INLINE F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
OSSIA_INLINE F32 load_tail(const float* p, int n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
OSSIA_INLINE void store(float* p, F32 a) { _mm512_storeu_ps(p, a.v); }
OSSIA_INLINE void store_tail(float* p, F32 a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
OSSIA_INLINE F32 zero() { return {_mm512_setzero_ps()}; }
OSSIA_INLINE F32 broadcast(float x) { return {_mm512_set1_ps(x)}; }

OSSIA_INLINE F32 add(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
OSSIA_INLINE F32 sub(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
OSSIA_INLINE F32 mul(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
OSSIA_INLINE F32 div(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
OSSIA_INLINE F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// Where either is NaN, b.
OSSIA_INLINE F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
OSSIA_INLINE F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
OSSIA_INLINE F32 select_less(F32 a, F32 b, F32 x, F32 y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
}

OSSIA_INLINE F32 round(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
OSSIA_INLINE F32 scale(F32 x, F32 n) { return {_mm512_scalef_ps(x.v, n.v)}; }
OSSIA_INLINE F32 split(F32 x, F32& exponent) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i power = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(kRootHalf)), 23);
  exponent.v = _mm512_cvtepi32_ps(power);
  return {_mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(power, 23)))};
}

OSSIA_INLINE F32 widen_words(__m256i words) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16))};
}
OSSIA_INLINE F32 widen(const uint16_t* p) { return widen_words(_mm256_loadu_si256((const __m256i*)p)); }
OSSIA_INLINE F32 widen_tail(const uint16_t* p, int n) {
  return widen_words(_mm256_maskz_loadu_epi16(first_lanes(n), p));
}
// The integer form of bf16_of: the processor's own conversion turns subnormal numbers to zero.
OSSIA_INLINE __m256i rounded_words(F32 a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i near = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(nan, near, quiet), 16));
}
OSSIA_INLINE void round_bf16(uint16_t* p, F32 a) { _mm256_storeu_si256((__m256i*)p, rounded_words(a)); }
OSSIA_INLINE void round_bf16_tail(uint16_t* p, F32 a, int n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), rounded_words(a));
}

OSSIA_INLINE void split_pairs(__m512i pairs, F32& even, F32& odd) {
  even.v = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
  odd.v = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000))));
}
OSSIA_INLINE void load_pairs(const uint16_t* p, F32& even, F32& odd) { split_pairs(_mm512_loadu_si512(p), even, odd); }
OSSIA_INLINE void load_pairs(const float* p, F32& even, F32& odd) {
  const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512 low = _mm512_loadu_ps(p), high = _mm512_loadu_ps(p + kLanes);
  even.v = _mm512_permutex2var_ps(low, evens, high);
  odd.v = _mm512_permutex2var_ps(low, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), high);
}

OSSIA_INLINE __m256 fold(__m512 a) { return _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)); }
OSSIA_INLINE float sum(F32 a) {
  const __m256 eight = fold(a.v);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OSSIA_INLINE void store_sums(float* p, F32 a, F32 b, F32 c, F32 d) {
  // The tree of `sum`, for four vectors side by side: eight lanes each, then four, two, one.
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a.v, b.v, 0x44), _mm512_shuffle_f32x4(a.v, b.v, 0xEE));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c.v, d.v, 0x44), _mm512_shuffle_f32x4(c.v, d.v, 0xEE));
  const __m512 fours = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  const __m512 twos = _mm512_add_ps(fours, _mm512_permute_ps(fours, 0x4E));
  const __m512 ones = _mm512_add_ps(twos, _mm512_permute_ps(twos, 0xB1));
  _mm512_mask_compressstoreu_ps(p, 0x1111, ones);
}
OSSIA_INLINE float max_lane(F32 a) { return _mm512_reduce_max_ps(a.v); }

OSSIA_INLINE void nibble_pairs(const uint8_t* p, uint8_t scale, F32& even, F32& odd) {
  // The lookup takes the low four bits of its index, so the low nibble needs no masking.
  const __m512 table = _mm512_load_ps(kNibbles.bits[scale]);
  const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
  even.v = _mm512_permutexvar_ps(bytes, table);
  odd.v = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
}

OSSIA_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
OSSIA_INLINE void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SIMD_AVX512_H_
