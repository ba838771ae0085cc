// Bitmaps: bit i % 32 of word i / 32 says something about number i.

#ifndef OSSIA_BITS_H_
#define OSSIA_BITS_H_

#include <algorithm>
#include <cstdint>

namespace ossia {

// The first number from `from` on whose bit is `set`; `end` if there is none below it.
inline int64_t find_bit(const uint32_t* bits, int64_t from, int64_t end, bool set) {
  const uint32_t nothing = set ? 0 : ~uint32_t{0};
  while (from < end && (bits[from / 32] >> (from % 32) & 1) != (set ? 1u : 0u)) {
    from += from % 32 == 0 && bits[from / 32] == nothing ? 32 : 1;
  }
  return std::min(from, end);
}

// Calls body(first, count) for each run of neighbouring numbers from `from` to `end` - 1 whose bits are set, in order.
template <class F>
void for_runs(const uint32_t* bits, int64_t from, int64_t end, F&& body) {
  for (int64_t first = find_bit(bits, from, end, true); first < end;) {
    const int64_t after = find_bit(bits, first, end, false);
    body(first, after - first);
    first = find_bit(bits, after, end, true);
  }
}

}  // namespace ossia

#endif  // OSSIA_BITS_H_
