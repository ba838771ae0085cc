// Exponential and logarithm of sixteen lanes, the same bits on every instruction set that has a fused multiply-add.

#ifndef OSSIA_SIMD_MATH_H_
#define OSSIA_SIMD_MATH_H_

namespace ossia::OSSIA_ISA {

// e^x within 2 units in the last place, subnormal results included; 0 below about -104, infinite above 88.8.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, e^r by a polynomial. ln 2 is taken in two parts, the first with its low bits
// zero, so that n times it is exact. Source: Moshier, Cephes Mathematical Library, single/expf.c (its polynomial).
OSSIA_INLINE F32 exp(F32 x) {
  x = max(broadcast(-105.f), min(broadcast(89.f), x));
  const F32 n = round(mul(x, broadcast(1.44269504f)));
  const F32 r = fma(n, broadcast(2.12194440e-4f), fma(n, broadcast(-0.693359375f), x));
  F32 p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  return scale(add(fma(p, mul(r, r), r), broadcast(1.f)), n);
}

// The natural logarithm within 2 units in the last place; -infinity at 0, NaN below it.
//
// x = 2^n f with f in [sqrt(1/2), sqrt(2)), ln f by a polynomial in f - 1; subnormal numbers are scaled up first.
// Source: Moshier, Cephes Mathematical Library, single/logf.c (its polynomial).
OSSIA_INLINE F32 log(F32 x) {
  const F32 smallest = broadcast(as_float(0x00800000)), infinity = broadcast(as_float(0x7F800000));
  const F32 normal = select_less(x, smallest, mul(x, broadcast(as_float(0x4B800000))), x);
  F32 n;
  const F32 f = sub(split(normal, n), broadcast(1.f));
  n = sub(n, select_less(x, smallest, broadcast(24.f), zero()));
  F32 p = broadcast(7.0376836292e-2f);
  p = fma(p, f, broadcast(-1.1514610310e-1f));
  p = fma(p, f, broadcast(1.1676998740e-1f));
  p = fma(p, f, broadcast(-1.2420140846e-1f));
  p = fma(p, f, broadcast(1.4249322787e-1f));
  p = fma(p, f, broadcast(-1.6668057665e-1f));
  p = fma(p, f, broadcast(2.0000714765e-1f));
  p = fma(p, f, broadcast(-2.4999993993e-1f));
  p = fma(p, f, broadcast(3.3333331174e-1f));
  const F32 square = mul(f, f);
  F32 y = mul(mul(p, square), f);
  y = fma(n, broadcast(-2.12194440e-4f), y);
  y = fma(broadcast(-0.5f), square, y);
  const F32 positive = fma(n, broadcast(0.693359375f), add(f, y));
  // What the arithmetic above does not cover: infinity, zero, negative numbers and NaN, which each comparison leaves
  // out.
  const F32 nan = broadcast(as_float(0x7FC00000));
  const F32 finite = select_less(x, infinity, positive, add(x, infinity));
  const F32 at_zero = select_less(zero(), x, finite, sub(zero(), infinity));
  return select_less(x, zero(), nan, select_less(zero(), x, finite, select_less(x, smallest, at_zero, x)));
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SIMD_MATH_H_
