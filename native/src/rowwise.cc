// The norm, the rotary turn and the choice of experts: operations on whole rows, shared out by the row.

#include <algorithm>

#include "context.h"

namespace ossia {
namespace {

// Floats of work in a chunk: fewer cost less than waking another thread.
constexpr int64_t kChunkFloats = 1 << 14;

// Calls body(first, end) for the rows of each chunk; a row costs as much as `width` floats.
template <class F>
void share_rows(Pool& pool, int64_t rows, int64_t width, F body) {
  const int64_t size = std::max<int64_t>(1, kChunkFloats / std::max<int64_t>(1, width));
  pool.run(divide_up(rows, size), [&](int64_t chunk, int) { body(chunk * size, std::min((chunk + 1) * size, rows)); });
}

}  // namespace
}  // namespace ossia

int32_t ossia_rms_norm(ossia_context* context, const float* x, const float* scale, int64_t tokens, int64_t width,
                       float eps, float* y) {
  if (tokens < 0 || width <= 0) return OSSIA_BAD_ARGUMENT;
  const ossia::Call call(context);
  ossia::share_rows(context->pool, tokens, width, [&](int64_t first, int64_t end) {
    context->kernels.rms_norm(x + first * width, scale, eps, end - first, width, y + first * width);
  });
  return OSSIA_OK;
}

int32_t ossia_rope(ossia_context* context, const float* x, const float* cos, const float* sin, int64_t tokens,
                   int64_t heads, int64_t width, float* y) {
  if (tokens < 0 || heads <= 0 || width <= 0 || width % 2 != 0) return OSSIA_BAD_ARGUMENT;
  const ossia::Call call(context);
  const int64_t half = width / 2, size = heads * width;
  ossia::share_rows(context->pool, tokens, size, [&](int64_t first, int64_t end) {
    for (int64_t token = first; token < end; ++token) {
      context->kernels.rope(x + token * size, cos + token * half, sin + token * half, heads, half, y + token * size);
    }
  });
  return OSSIA_OK;
}

int32_t ossia_choose(ossia_context* context, const float* scores, int64_t tokens, int64_t experts, int64_t active,
                     int32_t* chosen, float* shares) {
  if (tokens < 0 || active <= 0 || active > experts || experts > INT32_MAX) return OSSIA_BAD_ARGUMENT;
  const ossia::Call call(context);
  ossia::share_rows(context->pool, tokens, experts * active, [&](int64_t first, int64_t end) {
    for (int64_t token = first; token < end; ++token) {
      context->kernels.choose_experts(scores + token * experts, experts, active, chosen + token * active,
                                      shares + token * active);
    }
  });
  return OSSIA_OK;
}
