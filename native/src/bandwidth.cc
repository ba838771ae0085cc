// Reading memory as fast as it goes: the bound for everything that streams weights.

#include <algorithm>
#include <atomic>

#include "context.h"

namespace {
// Large enough that the hand-out costs nothing, small enough that a thread held up leaves little undone.
constexpr int64_t kChunk = int64_t{1} << 20;
}  // namespace

int32_t ossia_read_bandwidth(ossia_context* context, const void* data, int64_t bytes, uint64_t* sum) {
  if (data == nullptr || sum == nullptr || bytes < 0 || reinterpret_cast<uintptr_t>(data) % 64 != 0) {
    return OSSIA_BAD_ARGUMENT;
  }
  const ossia::Call call(context);
  const char* begin = static_cast<const char*>(data);
  const int64_t whole = bytes / 64 * 64;
  std::atomic<uint64_t> total{0};
  context->pool.run(ossia::divide_up(whole, kChunk), [&](int64_t chunk, int) {
    const int64_t first = chunk * kChunk;
    total += context->kernels.sum_bytes(begin + first, std::min(kChunk, whole - first));
  });
  *sum = total;
  return OSSIA_OK;
}

void ossia_will_need(const void* data, int64_t bytes, int32_t wait) {
  if (data == nullptr || bytes <= 0) return;
  const size_t size = static_cast<size_t>(bytes);
  if (wait == 0) return ossia::ask_for(data, size);
  ossia::prefer_huge_pages(data, size);
  if (wait == 1) ossia::populate(data, size);
}
