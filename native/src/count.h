// Numbers of rows or tokens that the code is compiled for, each in registers of its own.

#ifndef OSSIA_COUNT_H_
#define OSSIA_COUNT_H_

#include "simd.h"

namespace ossia::OSSIA_ISA {

// count() is N where a constant is wanted.
template <int N>
struct Count {
  constexpr int operator()() const { return N; }
};

// Calls body(Count<N>) for the number N, which is from 1 to kMost.
template <int kMost, class F>
OSSIA_INLINE void with_count(int64_t number, F body) {
  if (number == kMost) return body(Count<kMost>{});
  if constexpr (kMost > 1) with_count<kMost - 1>(number, body);
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_COUNT_H_
