// simd.h for AVX2 with FMA: F32 is two registers.

#ifndef OSSIA_SIMD_AVX2_H_
#define OSSIA_SIMD_AVX2_H_

#include <immintrin.h>

namespace ossia::OSSIA_ISA {

struct F32 {
  __m256 low, high;
};

// All bits set in the first n of eight lanes; n may be negative or more than eight.
OSSIA_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

OSSIA_INLINE F32 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
OSSIA_INLINE F32 load_tail(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
OSSIA_INLINE void store(float* p, F32 a) {
  _mm256_storeu_ps(p, a.low);
  _mm256_storeu_ps(p + 8, a.high);
}
OSSIA_INLINE void store_tail(float* p, F32 a, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), a.low);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), a.high);
}
OSSIA_INLINE F32 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
OSSIA_INLINE F32 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }

OSSIA_INLINE F32 add(F32 a, F32 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
OSSIA_INLINE F32 sub(F32 a, F32 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
OSSIA_INLINE F32 mul(F32 a, F32 b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
OSSIA_INLINE F32 div(F32 a, F32 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
OSSIA_INLINE F32 fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
// Where either is NaN, b.
OSSIA_INLINE F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
OSSIA_INLINE F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
OSSIA_INLINE F32 select_less(F32 a, F32 b, F32 x, F32 y) {
  return {_mm256_blendv_ps(y.low, x.low, _mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(y.high, x.high, _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ))};
}

OSSIA_INLINE F32 round(F32 a) {
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, kNearest), _mm256_round_ps(a.high, kNearest)};
}
// In three steps, because no single float holds every 2^n: at most 2^(3 * 127), at least 2^(3 * -126).
OSSIA_INLINE __m256 scale(__m256 x, __m256 n) {
  __m256i left = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(n, _mm256_set1_ps(381)), _mm256_set1_ps(-378)));
  for (int step = 0; step < 3; ++step) {
    const __m256i part = _mm256_max_epi32(_mm256_min_epi32(left, _mm256_set1_epi32(127)), _mm256_set1_epi32(-126));
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(part, _mm256_set1_epi32(127)), 23)));
    left = _mm256_sub_epi32(left, part);
  }
  return x;
}
OSSIA_INLINE F32 scale(F32 x, F32 n) { return {scale(x.low, n.low), scale(x.high, n.high)}; }
OSSIA_INLINE __m256 split(__m256 x, __m256& exponent) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i power = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(kRootHalf)), 23);
  exponent = _mm256_cvtepi32_ps(power);
  return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(power, 23)));
}
OSSIA_INLINE F32 split(F32 x, F32& exponent) { return {split(x.low, exponent.low), split(x.high, exponent.high)}; }

OSSIA_INLINE __m256 widen_words(__m128i words) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}
OSSIA_INLINE F32 widen(const uint16_t* p) {
  return {widen_words(_mm_loadu_si128((const __m128i*)p)), widen_words(_mm_loadu_si128((const __m128i*)(p + 8)))};
}
OSSIA_INLINE F32 widen_tail(const uint16_t* p, int n) {
  uint16_t padded[kLanes] = {};
  memcpy(padded, p, static_cast<size_t>(n) * sizeof(uint16_t));
  return widen(padded);
}
OSSIA_INLINE __m256i rounded_words(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i near = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  return _mm256_srli_epi32(_mm256_blendv_epi8(near, quiet, _mm256_castps_si256(nan)), 16);
}
OSSIA_INLINE void round_bf16(uint16_t* p, F32 a) {
  const __m256i words = _mm256_packus_epi32(rounded_words(a.low), rounded_words(a.high));
  _mm256_storeu_si256((__m256i*)p, _mm256_permute4x64_epi64(words, 0xD8));
}
OSSIA_INLINE void round_bf16_tail(uint16_t* p, F32 a, int n) {
  uint16_t padded[kLanes];
  round_bf16(padded, a);
  memcpy(p, padded, static_cast<size_t>(n) * sizeof(uint16_t));
}

OSSIA_INLINE void split_pairs(__m256i pairs, __m256& even, __m256& odd) {
  even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
  odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000))));
}
OSSIA_INLINE void load_pairs(const uint16_t* p, F32& even, F32& odd) {
  split_pairs(_mm256_loadu_si256((const __m256i*)p), even.low, odd.low);
  split_pairs(_mm256_loadu_si256((const __m256i*)(p + kLanes)), even.high, odd.high);
}
// Eight pairs from sixteen floats.
OSSIA_INLINE void load_pairs(const float* p, __m256& even, __m256& odd) {
  const __m256 low = _mm256_loadu_ps(p), high = _mm256_loadu_ps(p + 8);
  const __m256 first = _mm256_permute2f128_ps(low, high, 0x20), second = _mm256_permute2f128_ps(low, high, 0x31);
  even = _mm256_shuffle_ps(first, second, 0x88);
  odd = _mm256_shuffle_ps(first, second, 0xDD);
}
OSSIA_INLINE void load_pairs(const float* p, F32& even, F32& odd) {
  load_pairs(p, even.low, odd.low);
  load_pairs(p + kLanes, even.high, odd.high);
}

OSSIA_INLINE float sum(F32 a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OSSIA_INLINE void store_sums(float* p, F32 a, F32 b, F32 c, F32 d) {
  // The tree of `sum`, for two vectors in one register: eight lanes each, then four, two, one.
  const __m256 a8 = _mm256_add_ps(a.low, a.high), b8 = _mm256_add_ps(b.low, b.high);
  const __m256 c8 = _mm256_add_ps(c.low, c.high), d8 = _mm256_add_ps(d.low, d.high);
  const __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(a8, b8, 0x20), _mm256_permute2f128_ps(a8, b8, 0x31));
  const __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(c8, d8, 0x20), _mm256_permute2f128_ps(c8, d8, 0x31));
  // [a, a, c, c | b, b, d, d]
  const __m256 twos = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
  const __m256 ones = _mm256_add_ps(twos, _mm256_permute_ps(twos, 0xB1));
  const __m128 ac = _mm256_castps256_ps128(ones), bd = _mm256_extractf128_ps(ones, 1);
  _mm_storeu_ps(p, _mm_shuffle_ps(_mm_unpacklo_ps(ac, bd), _mm_unpackhi_ps(ac, bd), 0x44));
}
OSSIA_INLINE float max_lane(F32 a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// Eight values from the low nibbles of `nibbles`; the table holds magnitudes, and the nibble's top bit is the sign.
OSSIA_INLINE __m256 nibble_values(__m256 table, __m256i nibbles) {
  const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(nibbles, _mm256_set1_epi32(8)), 28);
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, nibbles), _mm256_castsi256_ps(sign));
}
OSSIA_INLINE void nibble_pairs(const uint8_t* p, uint8_t scale, F32& even, F32& odd) {
  const __m256 table = _mm256_castsi256_ps(_mm256_load_si256((const __m256i*)kNibbles.bits[scale]));
  const __m128i bytes = _mm_loadu_si128((const __m128i*)p);
  const __m256i low = _mm256_cvtepu8_epi32(bytes), high = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes));
  even = {nibble_values(table, low), nibble_values(table, high)};
  odd = {nibble_values(table, _mm256_srli_epi32(low, 4)), nibble_values(table, _mm256_srli_epi32(high, 4))};
}

OSSIA_INLINE void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
OSSIA_INLINE void prefetch_far(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SIMD_AVX2_H_
