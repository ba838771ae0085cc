#include "bandwidth_kernels.h"

namespace ossia::OSSIA_ISA {

uint64_t sum_bytes(const void* data, int64_t bytes) {
  // Independent lanes, so that the compiler may keep them in vector registers and nothing waits for an addition.
  constexpr int kWords = 32;
  const uint64_t* words = static_cast<const uint64_t*>(data);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(uint64_t));
  uint64_t sums[kWords] = {};
  int64_t i = 0;
  for (; i + kWords <= count; i += kWords) {
    for (int k = 0; k < kWords; ++k) sums[k] += words[i + k];
  }
  for (; i < count; ++i) sums[0] += words[i];
  uint64_t sum = 0;
  for (int k = 0; k < kWords; ++k) sum += sums[k];
  return sum;
}

}  // namespace ossia::OSSIA_ISA
