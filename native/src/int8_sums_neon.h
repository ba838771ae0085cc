// Int8Sums for AArch64, with dot products of four bytes (FEAT_DotProd) and without; int8_sums.h says what they take.
//
// Weights lie as four columns of four rows in a register, and there are four such registers.

#ifndef OSSIA_INT8_SUMS_NEON_H_
#define OSSIA_INT8_SUMS_NEON_H_

namespace ossia::OSSIA_ISA {

// Eight registers each, of 32: a third token's would leave too few for weights and broadcasts. And eight are as many
// chains of additions as keep two units with a latency of four busy.
constexpr int kInt8TokensAtOnce = 2, kInt8Parts = 1;

struct Bytes {
  uint8x16_t of[4];
};

OSSIA_INLINE Bytes bytes_at(const uint8_t* p) {
  return {vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)};
}
OSSIA_INLINE Bytes upper(Bytes b) {
  const uint8x16_t mask = vdupq_n_u8(static_cast<uint8_t>(kUpper));
  return {vandq_u8(b.of[0], mask), vandq_u8(b.of[1], mask), vandq_u8(b.of[2], mask), vandq_u8(b.of[3], mask)};
}
OSSIA_INLINE Bytes lower(Bytes b) {
  return {vshlq_n_u8(b.of[0], 4), vshlq_n_u8(b.of[1], 4), vshlq_n_u8(b.of[2], 4), vshlq_n_u8(b.of[3], 4)};
}

#if defined(OSSIA_HAS_BYTES)

struct Int8Sums {
  int32x4_t high[4], low[4];

  OSSIA_INLINE void clear() {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) high[i] = low[i] = vdupq_n_s32(0);
  }
  // The products take both sides with a sign: turning a byte's top bit subtracts the weights' zero.
  OSSIA_INLINE void add(const Bytes& bytes, const char* integers, int64_t padded, int64_t q) {
    const char* x = integers + q * kQuad;
    const int8x16_t highs = vreinterpretq_s8_s32(vdupq_n_s32(together(x)));
    const int8x16_t lows = vreinterpretq_s8_s32(vdupq_n_s32(together(x + padded + kInt8Chunk)));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int8x16_t weights = vreinterpretq_s8_u8(veorq_u8(bytes.of[i], vdupq_n_u8(kInt8Zero)));
      high[i] = vdotq_s32(high[i], weights, highs);
      low[i] = vdotq_s32(low[i], weights, lows);
    }
  }
  OSSIA_INLINE void add(const Int8Sums& other) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      high[i] = vaddq_s32(high[i], other.high[i]);
      low[i] = vaddq_s32(low[i], other.low[i]);
    }
  }
  OSSIA_INLINE F32 without(int32_t) const { return {rows(0), rows(1), rows(2), rows(3)}; }

 private:
  OSSIA_INLINE float32x4_t rows(int i) const { return vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(high[i], 7), low[i])); }
};

#else

struct Int8Sums {
  // Of two rows each; a row's even columns and its odd ones have been added, columns 0 and 2 of a quad have not.
  int32x4_t of[8];

  OSSIA_INLINE void clear() {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) of[i] = vdupq_n_s32(0);
  }
  OSSIA_INLINE void add(const Bytes& bytes, const char* integers, int64_t, int64_t q) {
    const char* x = integers + q * kQuad * 2;
    const int16x8_t first = vreinterpretq_s16_s32(vdupq_n_s32(together(x)));
    const int16x8_t second = vreinterpretq_s16_s32(vdupq_n_s32(together(x + 4)));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint16x8_t words = vreinterpretq_u16_u8(bytes.of[i]);
      const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(words, vdupq_n_u16(0xFF)));
      const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(words, 8));
      of[2 * i] = vmlal_s16(of[2 * i], vget_low_s16(even), vget_low_s16(first));
      of[2 * i] = vmlal_s16(of[2 * i], vget_low_s16(odd), vget_low_s16(second));
      of[2 * i + 1] = vmlal_high_s16(of[2 * i + 1], even, first);
      of[2 * i + 1] = vmlal_high_s16(of[2 * i + 1], odd, second);
    }
  }
  OSSIA_INLINE void add(const Int8Sums& other) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) of[i] = vaddq_s32(of[i], other.of[i]);
  }
  OSSIA_INLINE F32 without(int32_t offset) const {
    const int32x4_t offsets = vdupq_n_s32(offset);
    return {rows(0, offsets), rows(1, offsets), rows(2, offsets), rows(3, offsets)};
  }

 private:
  OSSIA_INLINE float32x4_t rows(int i, int32x4_t offsets) const {
    return vcvtq_f32_s32(vsubq_s32(vpaddq_s32(of[2 * i], of[2 * i + 1]), offsets));
  }
};

#endif

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_INT8_SUMS_NEON_H_
