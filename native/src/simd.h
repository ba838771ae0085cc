// Sixteen float lanes, the same on every instruction set.
//
// Kernels are written once over this file and compiled once for each set, in namespace ossia::OSSIA_ISA. `F32` is one
// register with AVX-512, two with AVX2, four with NEON, an array otherwise; the lanes are the same ones, so a sum has
// the same order and, where a fused multiply-add exists, the same bits.
//
// A kernel source must not call inline functions of the standard library: the linker keeps one copy of such a function
// for the whole program, and it may be the one compiled for a processor that this machine does not have.
//
// Each set's file defines these for F32 (a tail is n < 16 lanes; the others load as 0):
//
//     load, load_tail, store, store_tail, zero, broadcast
//     add, sub, mul, div, min, max
//     fma(a, b, c)                 a * b + c, rounded once
//     select_less(a, b, x, y)      where a < b x, else y
//     round                        to the nearest whole number, ties to even
//     scale(x, n)                  x * 2^n for whole n; infinite or 0 beyond the range
//     split(x, exponent)           the fraction in [sqrt(1/2), sqrt(2)) of a positive normal x, and its power
//     sum, max_lane                over the lanes: i with i + 8, then + 4, + 2, + 1
//     store_sums(p, a, b, c, d)    the sum of each, to four neighbouring floats
//
// for the 16-bit patterns of bfloat16 (rounding is to nearest, ties to even):
//
//     widen, widen_tail, round_bf16, round_bf16_tail
//     load_pairs(p, even, odd)     32 bfloat16 or float: the even-numbered and the odd-numbered
//
// and for the weights:
//
//     nibble_pairs(p, scale, even, odd)    32 MXFP4 values from 16 bytes: the low nibbles, the high nibbles
//     prefetch(p)                          to the first cache: a hint, for any address whatever
//     prefetch_far(p)                      the same, to the second cache: for what is so far off that the first would
//     have
//                                          dropped it, or be filled with it (one token's dense products: 80 to 95 % of
//                                          the read bandwidth on a Xeon)

#ifndef OSSIA_SIMD_H_
#define OSSIA_SIMD_H_

#include <stdint.h>
#include <string.h>

#define OSSIA_INLINE inline __attribute__((always_inline))

namespace ossia {

constexpr int kLanes = 16;

// The bits of sqrt(1/2). Subtracted from those of x, they leave above bit 23 the power of two in x = 2^n f with f in
// [sqrt(1/2), sqrt(2)).
constexpr int32_t kRootHalf = 0x3F3504F3;

// The float of bits `bits`, and back.
OSSIA_INLINE float as_float(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
OSSIA_INLINE uint32_t as_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// To the nearest bfloat16, ties to even; NaN stays NaN.
OSSIA_INLINE uint16_t bf16_of(float value) {
  const uint32_t bits = as_bits(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}
OSSIA_INLINE float float_of_bf16(uint16_t bits) { return as_float(uint32_t{bits} << 16); }

}  // namespace ossia

#include "nibbles.h"

#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)
#include "simd_avx512.h"
#elif defined(OSSIA_ISA_avx2)
#include "simd_avx2.h"
#elif defined(OSSIA_ISA_neon) || defined(OSSIA_ISA_dotprod)
#include "simd_neon.h"
#elif defined(OSSIA_ISA_portable)
#include "simd_portable.h"
#endif

#if defined(OSSIA_ISA)
#include "simd_math.h"
#endif

#endif  // OSSIA_SIMD_H_
