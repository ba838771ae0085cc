// Small operations on one row at a time: the norm, the rotary turn, the choice of experts.

#ifndef OSSIA_ROWWISE_H_
#define OSSIA_ROWWISE_H_

#include <stdint.h>

#if defined(OSSIA_ISA)
namespace ossia::OSSIA_ISA {

// y = x / sqrt(mean(x^2) + eps) * scale for `rows` rows of `width`. Squares are summed in 16 lanes, lane i taking the
// values 16 c + i in ascending order, then over the lanes.
void rms_norm(const float* x, const float* scale, float eps, int64_t rows, int64_t width, float* y);

// Turns each pair (i, i + half) of every head [heads, 2 half] of one token by its angle, given as cos and sin [half].
void rope(const float* x, const float* cos, const float* sin, int64_t heads, int64_t half, float* y);

// The `active` largest of one token's scores [experts], best first, the lower expert among equals, and the softmax over
// them, summed in that order. A score that is NaN counts as the least.
void choose_experts(const float* scores, int64_t experts, int64_t active, int32_t* chosen, float* shares);

}  // namespace ossia::OSSIA_ISA
#endif

#endif  // OSSIA_ROWWISE_H_
