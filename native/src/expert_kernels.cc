#include "expert_kernels.h"

#include "simd.h"

namespace ossia::OSSIA_ISA {
namespace {

// How steep the gate's sigmoid is; openai/gpt-oss, gpt_oss/torch/model.py, `swiglu`.
constexpr float kAlpha = 1.702f;

OSSIA_INLINE F32 activated(F32 gate, F32 up, float limit) {
  // min and max give their second operand where one is NaN, so that NaN is not hidden by the limit.
  gate = min(broadcast(limit), gate);
  up = max(broadcast(-limit), min(broadcast(limit), up));
  const F32 one = broadcast(1.f);
  const F32 sigmoid_inverse = add(one, exp(mul(broadcast(-kAlpha), gate)));
  return mul(div(gate, sigmoid_inverse), add(up, one));
}

}  // namespace

void swiglu(const float* h, int64_t count, float limit, float* a) {
  F32 gate, up;
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    load_pairs(h + 2 * j, gate, up);
    store(a + j, activated(gate, up, limit));
  }
  const int tail = static_cast<int>(count - j);
  if (tail == 0) return;
  float padded[2 * kLanes] = {};
  memcpy(padded, h + 2 * j, static_cast<size_t>(2 * tail) * sizeof(float));
  load_pairs(padded, gate, up);
  store_tail(a + j, activated(gate, up, limit), tail);
}

}  // namespace ossia::OSSIA_ISA
