// simd.h for AArch64's base instruction set (Advanced SIMD of Armv8.0): F32 is four registers.

#ifndef OSSIA_SIMD_NEON_H_
#define OSSIA_SIMD_NEON_H_

#include <arm_neon.h>

namespace ossia::OSSIA_ISA {

// Four lanes each, from the first on.
struct F32 {
  float32x4_t a, b, c, d;
};

// f of each register of one, two or three vectors.
template <class F>
OSSIA_INLINE F32 each(F f, F32 x) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
template <class F>
OSSIA_INLINE F32 each(F f, F32 x, F32 y) {
  return {f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d)};
}
template <class F>
OSSIA_INLINE F32 each(F f, F32 x, F32 y, F32 z) {
  return {f(x.a, y.a, z.a), f(x.b, y.b, z.b), f(x.c, y.c, z.c), f(x.d, y.d, z.d)};
}

OSSIA_INLINE F32 load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}; }
OSSIA_INLINE F32 load_tail(const float* p, int n) {
  float padded[kLanes] = {};
  memcpy(padded, p, static_cast<size_t>(n) * sizeof(float));
  return load(padded);
}
OSSIA_INLINE void store(float* p, F32 x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
OSSIA_INLINE void store_tail(float* p, F32 x, int n) {
  float whole[kLanes];
  store(whole, x);
  memcpy(p, whole, static_cast<size_t>(n) * sizeof(float));
}
OSSIA_INLINE F32 broadcast(float x) {
  const float32x4_t four = vdupq_n_f32(x);
  return {four, four, four, four};
}
OSSIA_INLINE F32 zero() { return broadcast(0.f); }

OSSIA_INLINE F32 add(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vaddq_f32(p, q); }, x, y);
}
OSSIA_INLINE F32 sub(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vsubq_f32(p, q); }, x, y);
}
OSSIA_INLINE F32 mul(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vmulq_f32(p, q); }, x, y);
}
OSSIA_INLINE F32 div(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vdivq_f32(p, q); }, x, y);
}
OSSIA_INLINE F32 fma(F32 x, F32 y, F32 z) {
  return each([](float32x4_t p, float32x4_t q, float32x4_t r) { return vfmaq_f32(r, p, q); }, x, y, z);
}
// Where either is NaN, y; the processor's own minimum would give NaN, whichever it is.
OSSIA_INLINE F32 min(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vbslq_f32(vcltq_f32(p, q), p, q); }, x, y);
}
OSSIA_INLINE F32 max(F32 x, F32 y) {
  return each([](float32x4_t p, float32x4_t q) { return vbslq_f32(vcgtq_f32(p, q), p, q); }, x, y);
}
OSSIA_INLINE F32 select_less(F32 x, F32 y, F32 less, F32 other) {
  return {vbslq_f32(vcltq_f32(x.a, y.a), less.a, other.a), vbslq_f32(vcltq_f32(x.b, y.b), less.b, other.b),
          vbslq_f32(vcltq_f32(x.c, y.c), less.c, other.c), vbslq_f32(vcltq_f32(x.d, y.d), less.d, other.d)};
}

OSSIA_INLINE F32 round(F32 x) {
  return each([](float32x4_t p) { return vrndnq_f32(p); }, x);
}
// In three steps, because no single float holds every 2^n: at most 2^(3 * 127), at least 2^(3 * -126).
OSSIA_INLINE float32x4_t scale(float32x4_t x, float32x4_t n) {
  int32x4_t left = vcvtq_s32_f32(vmaxnmq_f32(vminnmq_f32(n, vdupq_n_f32(381)), vdupq_n_f32(-378)));
  for (int step = 0; step < 3; ++step) {
    const int32x4_t part = vmaxq_s32(vminq_s32(left, vdupq_n_s32(127)), vdupq_n_s32(-126));
    x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(part, vdupq_n_s32(127)), 23)));
    left = vsubq_s32(left, part);
  }
  return x;
}
OSSIA_INLINE F32 scale(F32 x, F32 n) {
  return each([](float32x4_t p, float32x4_t q) { return scale(p, q); }, x, n);
}
OSSIA_INLINE float32x4_t split(float32x4_t x, float32x4_t& exponent) {
  const int32x4_t bits = vreinterpretq_s32_f32(x);
  const int32x4_t power = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(kRootHalf)), 23);
  exponent = vcvtq_f32_s32(power);
  return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(power, 23)));
}
OSSIA_INLINE F32 split(F32 x, F32& exponent) {
  return {split(x.a, exponent.a), split(x.b, exponent.b), split(x.c, exponent.c), split(x.d, exponent.d)};
}

// The words with 16 zero bits below each: interleaved with zeros, the word is the upper half.
OSSIA_INLINE F32 widen_words(uint16x8_t first, uint16x8_t second) {
  const uint16x8_t none = vdupq_n_u16(0);
  return {vreinterpretq_f32_u16(vzip1q_u16(none, first)), vreinterpretq_f32_u16(vzip2q_u16(none, first)),
          vreinterpretq_f32_u16(vzip1q_u16(none, second)), vreinterpretq_f32_u16(vzip2q_u16(none, second))};
}
OSSIA_INLINE F32 widen(const uint16_t* p) { return widen_words(vld1q_u16(p), vld1q_u16(p + 8)); }
OSSIA_INLINE F32 widen_tail(const uint16_t* p, int n) {
  uint16_t padded[kLanes] = {};
  memcpy(padded, p, static_cast<size_t>(n) * sizeof(uint16_t));
  return widen(padded);
}
OSSIA_INLINE uint16x4_t rounded_words(float32x4_t x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t near = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), near, quiet), 16);
}
OSSIA_INLINE void round_bf16(uint16_t* p, F32 x) {
  vst1q_u16(p, vcombine_u16(rounded_words(x.a), rounded_words(x.b)));
  vst1q_u16(p + 8, vcombine_u16(rounded_words(x.c), rounded_words(x.d)));
}
OSSIA_INLINE void round_bf16_tail(uint16_t* p, F32 x, int n) {
  uint16_t whole[kLanes];
  round_bf16(whole, x);
  memcpy(p, whole, static_cast<size_t>(n) * sizeof(uint16_t));
}

// Four pairs from eight words, or from eight floats.
OSSIA_INLINE void load_pairs(const uint16_t* p, float32x4_t& even, float32x4_t& odd) {
  const uint32x4_t pairs = vreinterpretq_u32_u16(vld1q_u16(p));
  even = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16));
  odd = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xFFFF0000)));
}
OSSIA_INLINE void load_pairs(const float* p, float32x4_t& even, float32x4_t& odd) {
  const float32x4_t low = vld1q_f32(p), high = vld1q_f32(p + 4);
  even = vuzp1q_f32(low, high);
  odd = vuzp2q_f32(low, high);
}
template <class T>
OSSIA_INLINE void load_pairs(const T* p, F32& even, F32& odd) {
  load_pairs(p, even.a, odd.a);
  load_pairs(p + 8, even.b, odd.b);
  load_pairs(p + 16, even.c, odd.c);
  load_pairs(p + 24, even.d, odd.d);
}

// The first two levels of the tree of `sum`: i with i + 8, then with i + 4.
OSSIA_INLINE float32x4_t fold(F32 x) { return vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d)); }
OSSIA_INLINE float sum(F32 x) {
  const float32x4_t four = fold(x);
  return vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
}
// The lanes i and i + 2 of both, added: [x, x, y, y].
OSSIA_INLINE float32x4_t fold_pairs(float32x4_t x, float32x4_t y) {
  return vaddq_f32(vcombine_f32(vget_low_f32(x), vget_low_f32(y)), vcombine_f32(vget_high_f32(x), vget_high_f32(y)));
}
OSSIA_INLINE void store_sums(float* p, F32 x, F32 y, F32 z, F32 w) {
  vst1q_f32(p, vpaddq_f32(fold_pairs(fold(x), fold(y)), fold_pairs(fold(z), fold(w))));
}
OSSIA_INLINE float max_lane(F32 x) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.a, x.b), vmaxq_f32(x.c, x.d))); }

// The values of 16 nibbles; the words of a scale, as their low bytes and their high bytes.
OSSIA_INLINE F32 nibble_values(uint8x16x2_t words, uint8x16_t nibbles) {
  const uint8x16_t low = vqtbl1q_u8(words.val[0], nibbles), high = vqtbl1q_u8(words.val[1], nibbles);
  return widen_words(vreinterpretq_u16_u8(vzip1q_u8(low, high)), vreinterpretq_u16_u8(vzip2q_u8(low, high)));
}
OSSIA_INLINE void nibble_pairs(const uint8_t* p, uint8_t scale, F32& even, F32& odd) {
  const uint8x16x2_t words = vld2q_u8(reinterpret_cast<const uint8_t*>(kNibbles.words[scale]));
  const uint8x16_t bytes = vld1q_u8(p);
  even = nibble_values(words, vandq_u8(bytes, vdupq_n_u8(15)));
  odd = nibble_values(words, vshrq_n_u8(bytes, 4));
}

OSSIA_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
OSSIA_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SIMD_NEON_H_
