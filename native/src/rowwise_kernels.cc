#include "rowwise.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {
namespace {

float sum_of_squares(const float* x, int64_t width) {
  F32 sums = zero();
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const F32 part = load(x + i);
    sums = fma(part, part, sums);
  }
  if (i < width) {
    const F32 part = load_tail(x + i, static_cast<int>(width - i));
    sums = fma(part, part, sums);
  }
  return sum(sums);
}

// Whether expert `a` comes before `b`, both with their scores.
OSSIA_INLINE bool is_better(float a_score, int64_t a, float b_score, int64_t b) {
  const float least = -__builtin_inff();
  const float x = a_score == a_score ? a_score : least, y = b_score == b_score ? b_score : least;
  return x > y || (x == y && a < b);
}

}  // namespace

void rms_norm(const float* x, const float* scale, float eps, int64_t rows, int64_t width, float* y) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    const float mean = sum_of_squares(x, width) / static_cast<float>(width);
    const F32 root = broadcast(__builtin_sqrtf(mean + eps));
    int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) store(y + i, mul(div(load(x + i), root), load(scale + i)));
    if (i < width) {
      const int left = static_cast<int>(width - i);
      store_tail(y + i, mul(div(load_tail(x + i, left), root), load_tail(scale + i, left)), left);
    }
  }
}

void rope(const float* x, const float* cos, const float* sin, int64_t heads, int64_t half, float* y) {
  for (int64_t head = 0; head < heads; ++head, x += 2 * half, y += 2 * half) {
    int64_t i = 0;
    for (; i + kLanes <= half; i += kLanes) {
      const F32 first = load(x + i), second = load(x + half + i), c = load(cos + i), s = load(sin + i);
      store(y + i, sub(mul(first, c), mul(second, s)));
      store(y + half + i, add(mul(second, c), mul(first, s)));
    }
    for (; i < half; ++i) {
      const float first = x[i], second = x[half + i];
      y[i] = first * cos[i] - second * sin[i];
      y[half + i] = second * cos[i] + first * sin[i];
    }
  }
}

void choose_experts(const float* scores, int64_t experts, int64_t active, int32_t* chosen, float* shares) {
  for (int64_t place = 0; place < active; ++place) {
    int64_t best = -1;
    for (int64_t expert = 0; expert < experts; ++expert) {
      // Taken already: not worse than the last one that was.
      if (place > 0 && !is_better(scores[chosen[place - 1]], chosen[place - 1], scores[expert], expert)) continue;
      if (best < 0 || is_better(scores[expert], expert, scores[best], best)) best = expert;
    }
    chosen[place] = static_cast<int32_t>(best);
  }
  // A score that is no number is never chosen, but must not go unseen: then no share is a number either.
  float sum = 0.f, largest = scores[chosen[0]];
  for (int64_t expert = 0; expert < experts; ++expert) {
    if (scores[expert] != scores[expert]) largest = scores[expert];
  }
  for (int64_t place = 0; place < active; ++place) {
    float weight[kLanes];
    store(weight, exp(broadcast(scores[chosen[place]] - largest)));
    shares[place] = weight[0];
    sum += weight[0];
  }
  for (int64_t place = 0; place < active; ++place) shares[place] /= sum;
}

}  // namespace ossia::OSSIA_ISA
