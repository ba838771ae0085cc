// Values to whole numbers with a scale, the same on every instruction set.

#ifndef OSSIA_INT8_ROUNDING_H_
#define OSSIA_INT8_ROUNDING_H_

#include "int8.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {

// Added to a number below 2^22 and taken away from its bits, this leaves the nearest integer, ties to even.
constexpr float kRounder = 12582912.f;  // 1.5 * 2^23

// The other way round, a whole number below 2^22 added to its bits makes the float that is larger by it.
constexpr int32_t kRounderBits = 0x4B400000;

OSSIA_INLINE int32_t nearest(float value) { return static_cast<int32_t>(as_bits(value + kRounder)) - kRounderBits; }

// The bits of the largest magnitude; integers, because the compiler may reorder their comparisons.
OSSIA_INLINE uint32_t largest_bits(const float* values, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t magnitude = static_cast<int32_t>(as_bits(values[i]) & 0x7FFFFFFF);
    largest = magnitude > largest ? magnitude : largest;
  }
  return static_cast<uint32_t>(largest);
}

// What takes values to integers up to some size, and back.
struct Unit {
  float factor, scale;
};

OSSIA_INLINE Unit unit_of(const float* values, int64_t count, float most) {
  const uint32_t bits = largest_bits(values, count);
  if (bits >= 0x7F800000) return {0.f, __builtin_nanf("")};
  const float largest = as_float(bits);
  return largest < kInt8Smallest ? Unit{0.f, 0.f} : Unit{most / largest, largest / most};
}

// The same with a scale in bfloat16, rounded up so that no integer grows beyond the largest.
OSSIA_INLINE Unit coarse(Unit unit) {
  if (unit.factor == 0.f) return unit;
  const float scale = as_float((as_bits(unit.scale) + 0xFFFF) & 0xFFFF0000);
  return {1.f / scale, scale};
}

// With a factor of 0, which stands for values that are not finite too, integers are 0.
OSSIA_INLINE void to_integers(const float* values, int64_t count, float factor, int32_t* integers) {
  if (factor == 0.f) {
    memset(integers, 0, static_cast<size_t>(count) * sizeof(int32_t));
    return;
  }
  for (int64_t i = 0; i < count; ++i) integers[i] = nearest(values[i] * factor);
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_INT8_ROUNDING_H_
