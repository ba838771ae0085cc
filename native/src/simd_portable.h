// simd.h in plain C++: F32 is an array, and the compiler makes of the loops what it can.

#ifndef OSSIA_SIMD_PORTABLE_H_
#define OSSIA_SIMD_PORTABLE_H_

namespace ossia::OSSIA_ISA {

struct F32 {
  float v[kLanes];
};

// The lanes f(0) to f(15).
template <class F>
OSSIA_INLINE F32 each(F f) {
  F32 r;
  for (int i = 0; i < kLanes; ++i) r.v[i] = f(i);
  return r;
}

OSSIA_INLINE F32 load(const float* p) {
  return each([&](int i) { return p[i]; });
}
OSSIA_INLINE F32 load_tail(const float* p, int n) {
  return each([&](int i) { return i < n ? p[i] : 0.f; });
}
OSSIA_INLINE void store(float* p, F32 a) { memcpy(p, a.v, sizeof(a.v)); }
OSSIA_INLINE void store_tail(float* p, F32 a, int n) { memcpy(p, a.v, static_cast<size_t>(n) * sizeof(float)); }
OSSIA_INLINE F32 broadcast(float x) {
  return each([&](int) { return x; });
}
OSSIA_INLINE F32 zero() { return broadcast(0.f); }

OSSIA_INLINE F32 add(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] + b.v[i]; });
}
OSSIA_INLINE F32 sub(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] - b.v[i]; });
}
OSSIA_INLINE F32 mul(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] * b.v[i]; });
}
OSSIA_INLINE F32 div(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] / b.v[i]; });
}
// Rounds twice where the processor has no fused form: calling one in software would cost a hundred times as much.
OSSIA_INLINE F32 fma(F32 a, F32 b, F32 c) {
#if defined(__FP_FAST_FMAF)
  return each([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
#else
  return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
#endif
}
// Where either is NaN, b.
OSSIA_INLINE F32 min(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
OSSIA_INLINE F32 max(F32 a, F32 b) {
  return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
OSSIA_INLINE F32 select_less(F32 a, F32 b, F32 x, F32 y) {
  return each([&](int i) { return a.v[i] < b.v[i] ? x.v[i] : y.v[i]; });
}

OSSIA_INLINE F32 round(F32 a) {
  return each([&](int i) { return __builtin_rintf(a.v[i]); });
}
OSSIA_INLINE F32 scale(F32 x, F32 n) {
  // In three steps, because no single float holds every 2^n: at most 2^(3 * 127), at least 2^(3 * -126).
  const F32 bounded = max(min(n, broadcast(381)), broadcast(-378));
  return each([&](int i) {
    int left = static_cast<int>(bounded.v[i]);
    float y = x.v[i];
    for (int step = 0; step < 3; ++step) {
      const int part = left > 127 ? 127 : left < -126 ? -126 : left;
      y *= as_float(static_cast<uint32_t>(part + 127) << 23);
      left -= part;
    }
    return y;
  });
}
OSSIA_INLINE F32 split(F32 x, F32& exponent) {
  F32 fraction;
  for (int i = 0; i < kLanes; ++i) {
    // Unsigned, because the other lanes may hold anything: a negative number's difference would overflow.
    const uint32_t bits = as_bits(x.v[i]);
    const int32_t power = static_cast<int32_t>(bits - kRootHalf) >> 23;
    exponent.v[i] = static_cast<float>(power);
    fraction.v[i] = as_float(bits - (static_cast<uint32_t>(power) << 23));
  }
  return fraction;
}

OSSIA_INLINE F32 widen(const uint16_t* p) {
  return each([&](int i) { return float_of_bf16(p[i]); });
}
OSSIA_INLINE F32 widen_tail(const uint16_t* p, int n) {
  return each([&](int i) { return i < n ? float_of_bf16(p[i]) : 0.f; });
}
OSSIA_INLINE void round_bf16_tail(uint16_t* p, F32 a, int n) {
  for (int i = 0; i < n; ++i) p[i] = bf16_of(a.v[i]);
}
OSSIA_INLINE void round_bf16(uint16_t* p, F32 a) { round_bf16_tail(p, a, kLanes); }

OSSIA_INLINE void load_pairs(const uint16_t* p, F32& even, F32& odd) {
  even = each([&](int i) { return float_of_bf16(p[2 * i]); });
  odd = each([&](int i) { return float_of_bf16(p[2 * i + 1]); });
}
OSSIA_INLINE void load_pairs(const float* p, F32& even, F32& odd) {
  even = each([&](int i) { return p[2 * i]; });
  odd = each([&](int i) { return p[2 * i + 1]; });
}

OSSIA_INLINE float sum(F32 a) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  }
  return a.v[0];
}
OSSIA_INLINE void store_sums(float* p, F32 a, F32 b, F32 c, F32 d) {
  p[0] = sum(a);
  p[1] = sum(b);
  p[2] = sum(c);
  p[3] = sum(d);
}
OSSIA_INLINE float max_lane(F32 a) {
  float largest = a.v[0];
  for (int i = 1; i < kLanes; ++i) largest = largest > a.v[i] ? largest : a.v[i];
  return largest;
}

OSSIA_INLINE void nibble_pairs(const uint8_t* p, uint8_t scale, F32& even, F32& odd) {
  const uint32_t* table = kNibbles.bits[scale];
  even = each([&](int i) { return as_float(table[p[i] & 15]); });
  odd = each([&](int i) { return as_float(table[p[i] >> 4]); });
}

OSSIA_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
OSSIA_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SIMD_PORTABLE_H_
