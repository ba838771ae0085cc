#include "context.h"

#include <cassert>
#include <new>
#include <system_error>

namespace ossia {

Scratch::~Scratch() {
  if (memory_ != nullptr) release(memory_, size_);
}

bool Scratch::reserve(size_t bytes) {
  used_ = 0;
  if (bytes <= size_) return true;
  void* memory = allocate(bytes);
  if (memory == nullptr) return false;
  if (memory_ != nullptr) release(memory_, size_);
  memory_ = static_cast<char*>(memory);
  size_ = bytes;
  return true;
}

void* Scratch::take_bytes(size_t bytes) {
  void* piece = memory_ + used_;
  used_ += (bytes + 63) / 64 * 64;
  assert(used_ <= size_);
  return piece;
}

}  // namespace ossia

int32_t ossia_abi_version(void) { return OSSIA_ABI_VERSION; }

int32_t ossia_create(int32_t threads, const char* isa, ossia_context** out) {
  if (out == nullptr) return OSSIA_BAD_ARGUMENT;
  *out = nullptr;
  if (threads < 0) return OSSIA_BAD_ARGUMENT;
  const ossia::Kernels* kernels = ossia::choose_kernels(isa);
  if (kernels == nullptr) return OSSIA_UNSUPPORTED;
  try {
    *out = new ossia_context(threads > 0 ? threads : ossia::processor_count(), *kernels);
  } catch (const std::system_error&) {
    return OSSIA_OUT_OF_MEMORY;
  } catch (const std::bad_alloc&) {
    return OSSIA_OUT_OF_MEMORY;
  }
  return OSSIA_OK;
}

void ossia_destroy(ossia_context* context) { delete context; }

int32_t ossia_threads(const ossia_context* context) { return context->pool.threads(); }

const char* ossia_isa(const ossia_context* context) { return context->kernels.isa; }
