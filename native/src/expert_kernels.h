// What experts need besides products.

#ifndef OSSIA_EXPERT_KERNELS_H_
#define OSSIA_EXPERT_KERNELS_H_

#include <stdint.h>

namespace ossia::OSSIA_ISA {

// [2 F] -> [F], gate and up interleaved: gate = min(h[2 j], limit), up = clamp(h[2 j + 1], -limit, limit);
// a[j] = gate / (1 + e^(-1.702 gate)) * (up + 1).
// Source: openai/gpt-oss, gpt_oss/torch/model.py, `swiglu`.
void swiglu(const float* h, int64_t count, float limit, float* a);

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_EXPERT_KERNELS_H_
