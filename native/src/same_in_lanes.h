// Products with 32 bits of memory that are the same in every lane, added to sums.
//
// In assembly because GCC 12 broadcasts first, to a register: an instruction more for each product, of six that begin
// in a cycle, or three beside another thread of the core. On a Xeon 0.94 of the time of the whole kernel. A
// sanitizer does not see what assembly reads, so for it they are as the compiler likes.

#ifndef OSSIA_SAME_IN_LANES_H_
#define OSSIA_SAME_IN_LANES_H_

#include "simd.h"
#include "turn.h"

namespace ossia::OSSIA_ISA {

// Unsigned bytes of each lane times the signed ones at `x`.
OSSIA_INLINE __m512i add_bytes_times(__m512i sums, __m512i bytes, const void* x) {
#if defined(__SANITIZE_ADDRESS__)
  return _mm512_dpbusd_epi32(sums, bytes, _mm512_set1_epi32(*static_cast<const Word*>(x)));
#else
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(bytes), "m"(*static_cast<const Word*>(x)));
  return sums;
#endif
}

// Words of each lane times those at `x`.
OSSIA_INLINE __m512i add_words_times(__m512i sums, __m512i words, const void* x) {
#if defined(__SANITIZE_ADDRESS__)
  return _mm512_dpwssd_epi32(sums, words, _mm512_set1_epi32(*static_cast<const Word*>(x)));
#else
  asm("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(words), "m"(*static_cast<const Word*>(x)));
  return sums;
#endif
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_SAME_IN_LANES_H_
