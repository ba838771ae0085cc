// 16 registers of 16 words of 32 bits, turned: word j of register i becomes word i of register j.

#ifndef OSSIA_TURN_H_
#define OSSIA_TURN_H_

#include "simd.h"

namespace ossia::OSSIA_ISA {

OSSIA_INLINE void turn(__m512i (&v)[16]) {
  __m512i a[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
  }
  // v[4 g + k] holds, in its part p of 128 bits, the words 4 p + k of the rows 4 g to 4 g + 3.
#pragma GCC unroll 16
  for (int k = 0; k < 4; ++k) {
    a[k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0x88);
    a[4 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0x88);
    a[8 + k] = _mm512_shuffle_i32x4(v[k], v[4 + k], 0xDD);
    a[12 + k] = _mm512_shuffle_i32x4(v[8 + k], v[12 + k], 0xDD);
  }
#pragma GCC unroll 16
  for (int k = 0; k < 4; ++k) {
    v[k] = _mm512_shuffle_i32x4(a[k], a[4 + k], 0x88);
    v[8 + k] = _mm512_shuffle_i32x4(a[k], a[4 + k], 0xDD);
    v[4 + k] = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0x88);
    v[12 + k] = _mm512_shuffle_i32x4(a[8 + k], a[12 + k], 0xDD);
  }
}

// 32 bits of other types' memory.
typedef int32_t Word __attribute__((may_alias));
typedef float Scale __attribute__((may_alias));

// Some tokens' words, [tokens][kCount], to [kCount][tokens].
template <int kCount>
OSSIA_INLINE void store_turned(__m512i (&words)[16], int64_t tokens, void* to) {
  const __mmask16 given = first_lanes(static_cast<int>(tokens));
  turn(words);
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i) _mm512_mask_storeu_epi32(static_cast<Word*>(to) + i * tokens, given, words[i]);
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_TURN_H_
