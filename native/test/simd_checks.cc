// The lanes against plain C++ and, for exponential and logarithm, against double; compiled once for each instruction
// set.

#include "simd_checks.h"

#include <math.h>

#include "check.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {
namespace {

// Deterministic bits, without the standard library (simd.h says why).
uint32_t next_bits() {
  static uint64_t state = 0x9E3779B97F4A7C15;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(state >> 32);
}

struct Lanes {
  float of[kLanes];
};
Lanes lanes(F32 a) {
  Lanes result;
  store(result.of, a);
  return result;
}

// How many units in the last place lie between them; bits of floats of one sign count upwards.
double distance(float found, double wanted) {
  const float nearest = static_cast<float>(wanted);
  if (found == nearest || (isnan(found) && isnan(nearest))) return 0;
  if (!isfinite(found) || !isfinite(nearest)) return 1e9;
  const double unit = nextafterf(fabsf(nearest), INFINITY) - fabsf(nearest);
  return fabs(found - wanted) / unit;
}

void check_math() {
  double worst_exp = 0, worst_log = 0;
  for (int round = 0; round < 20000; ++round) {
    float x[kLanes], y[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      x[i] = -110.f + 200.f * static_cast<float>(next_bits()) * 0x1p-32f;
      y[i] = as_float(next_bits() % 0x7F800000);  // any finite number that is not negative
    }
    const Lanes e = lanes(exp(load(x))), l = lanes(log(load(y)));
    for (int i = 0; i < kLanes; ++i) {
      worst_exp = fmax(worst_exp, distance(e.of[i], ::exp(static_cast<double>(x[i]))));
      worst_log = fmax(worst_log, distance(l.of[i], ::log(static_cast<double>(y[i]))));
    }
  }
  CHECK_THAT(worst_exp <= 2, "exp is off by %g units", worst_exp);
  CHECK_THAT(worst_log <= 2, "log is off by %g units", worst_log);
  const float inf = as_float(0x7F800000), nan = as_float(0x7FC00000);
  const float ends[kLanes] = {0.f, -0.f, inf, -inf, nan, -1.f, 1.f, 1e-45f, 88.72f, 88.73f, -103.9f, -104.f, 3e38f};
  const Lanes e = lanes(exp(load(ends))), l = lanes(log(load(ends)));
  for (int i = 0; i < kLanes; ++i) {
    CHECK_THAT(distance(e.of[i], ::exp(static_cast<double>(ends[i]))) <= 2, "exp(%g) is %g", ends[i], e.of[i]);
    CHECK_THAT(distance(l.of[i], ::log(static_cast<double>(ends[i]))) <= 2, "log(%g) is %g", ends[i], l.of[i]);
  }
}

void check_bfloat16() {
  for (int round = 0; round < 20000; ++round) {
    float x[kLanes], back[kLanes];
    uint16_t words[kLanes];
    for (int i = 0; i < kLanes; ++i) x[i] = as_float(next_bits());
    // A tie, a subnormal number, one that rounds up to infinity, and NaN with only low bits.
    x[0] = as_float((next_bits() & 0xFFFF0000) | 0x8000);
    x[1] = as_float(next_bits() & 0x807FFFFF);
    x[2] = as_float(0x7F7FFFFF);
    x[3] = as_float(0x7F800001);
    round_bf16(words, load(x));
    store(back, widen(words));
    for (int i = 0; i < kLanes; ++i) {
      CHECK_THAT(words[i] == bf16_of(x[i]), "%08x gives %04x", as_bits(x[i]), words[i]);
      CHECK(as_bits(back[i]) == uint32_t{words[i]} << 16);
    }
  }
}

void check_tails() {
  for (int n = 1; n < kLanes; ++n) {
    // On the heap and of exactly n elements, so that a read beyond them is seen.
    float* x = new float[static_cast<size_t>(n)];
    float* y = new float[static_cast<size_t>(n)];
    uint16_t* words = new uint16_t[static_cast<size_t>(n)];
    for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i + 1);
    const Lanes loaded = lanes(load_tail(x, n));
    store_tail(y, load_tail(x, n), n);
    round_bf16_tail(words, load_tail(x, n), n);
    const Lanes widened = lanes(widen_tail(words, n));
    for (int i = 0; i < kLanes; ++i) {
      CHECK(loaded.of[i] == (i < n ? static_cast<float>(i + 1) : 0.f) && widened.of[i] == loaded.of[i]);
      CHECK(i >= n || y[i] == x[i]);
    }
    delete[] x;
    delete[] y;
    delete[] words;
  }
}

void check_pairs() {
  float x[2 * kLanes];
  uint16_t words[2 * kLanes];
  for (int i = 0; i < 2 * kLanes; ++i) words[i] = bf16_of(x[i] = static_cast<float>(i - 7));
  F32 even, odd, even_word, odd_word;
  load_pairs(x, even, odd);
  load_pairs(words, even_word, odd_word);
  for (int i = 0; i < kLanes; ++i) {
    CHECK(lanes(even).of[i] == x[2 * i] && lanes(odd).of[i] == x[2 * i + 1]);
    CHECK(lanes(even_word).of[i] == x[2 * i] && lanes(odd_word).of[i] == x[2 * i + 1]);
  }
}

// Every nibble under every scale, bit for bit, from the definition's product in double.
void check_nibbles() {
  const double grid[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  uint8_t block[kLanes];
  for (int i = 0; i < kLanes; ++i) block[i] = static_cast<uint8_t>(i | (15 - i) << 4);
  for (int scale = 0; scale < 256; ++scale) {
    F32 even, odd;
    nibble_pairs(block, static_cast<uint8_t>(scale), even, odd);
    for (int i = 0; i < kLanes; ++i) {
      const int nibbles[2] = {i, 15 - i};
      for (const int nibble : nibbles) {
        const float found = nibble == i ? lanes(even).of[i] : lanes(odd).of[i];
        const float wanted = static_cast<float>(ldexp((nibble & 8 ? -1 : 1) * grid[nibble & 7], scale - 127));
        CHECK(scale == 255 ? isnan(found) : as_bits(found) == as_bits(wanted));
      }
    }
  }
}

// The tree of sums: each level's partners, found by numbers whose sum shows in what order they were added.
void check_sums() {
  for (int round = 0; round < 1000; ++round) {
    float x[4][kLanes], tree[4][kLanes], sums[4];
    for (int k = 0; k < 4; ++k) {
      for (int i = 0; i < kLanes; ++i) tree[k][i] = x[k][i] = as_float((next_bits() & 0x83FFFFFF) | 0x3C000000);
      for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) tree[k][i] += tree[k][i + width];
      }
      CHECK(sum(load(x[k])) == tree[k][0]);
    }
    store_sums(sums, load(x[0]), load(x[1]), load(x[2]), load(x[3]));
    for (int k = 0; k < 4; ++k) CHECK(sums[k] == tree[k][0]);
  }
  float x[kLanes] = {};
  for (int i = 0; i < kLanes; ++i) {
    x[i] = static_cast<float>(i + 1);
    CHECK(max_lane(load(x)) == x[i]);
  }
}

void check_order() {
  const float nan = as_float(0x7FC00000);
  const F32 one = broadcast(1.f), two = broadcast(2.f), none = broadcast(nan);
  CHECK(lanes(min(one, two)).of[5] == 1.f && lanes(max(one, two)).of[5] == 2.f);
  CHECK(isnan(lanes(min(one, none)).of[0]) && isnan(lanes(max(one, none)).of[0]));
  CHECK(lanes(min(none, one)).of[0] == 1.f && lanes(max(none, one)).of[0] == 1.f);
  CHECK(lanes(select_less(one, two, two, none)).of[9] == 2.f && isnan(lanes(select_less(two, one, two, none)).of[9]));
  CHECK(lanes(select_less(none, two, one, two)).of[0] == 2.f);
  CHECK(lanes(round(broadcast(2.5f))).of[0] == 2.f && lanes(round(broadcast(-3.5f))).of[0] == -4.f);
  CHECK(lanes(div(one, two)).of[3] == 0.5f && lanes(sub(one, two)).of[3] == -1.f && lanes(mul(two, two)).of[3] == 4.f);
}

}  // namespace

void check_simd() {
  check_math();
  check_bfloat16();
  check_tails();
  check_pairs();
  check_nibbles();
  check_sums();
  check_order();
}

}  // namespace ossia::OSSIA_ISA
