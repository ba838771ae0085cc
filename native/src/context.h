// What stands behind ossia_context.

#ifndef OSSIA_CONTEXT_H_
#define OSSIA_CONTEXT_H_

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "kernels.h"
#include "ossia.h"
#include "platform.h"
#include "pool.h"

namespace ossia {

// Memory for one call, handed out piece by piece; grown when needed, kept until the context goes.
//
//     if (!scratch.reserve(room<float>(n) + room<int32_t>(m))) return OSSIA_OUT_OF_MEMORY;
//     float* x = scratch.take<float>(n);
class Scratch {
 public:
  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Takes everything back and makes sure of `bytes`; false when there is no such memory.
  bool reserve(size_t bytes);

  // Uninitialised, at a multiple of 64 bytes. What was reserved must not be exceeded.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  void* take_bytes(size_t bytes);

  char* memory_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;
};

// The bytes that `take<T>(count)` uses of a Scratch.
template <class T>
size_t room(int64_t count) {
  return (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
}

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace ossia

struct ossia_context {
  ossia_context(int threads, const ossia::Kernels& kernels) : pool(threads), kernels(kernels) {}

  ossia::Pool pool;
  const ossia::Kernels& kernels;
  ossia::Scratch scratch;
  std::mutex busy;
};

namespace ossia {

// Held by every function of the ABI that computes: one call at a time, with the floating-point mode that sums rely on.
class Call {
 public:
  explicit Call(ossia_context* context) : lock_(context->busy) {}

 private:
  std::lock_guard<std::mutex> lock_;
  FloatMode mode_;
};

}  // namespace ossia

#endif  // OSSIA_CONTEXT_H_
