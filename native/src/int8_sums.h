// Sums of 16 rows and one token, as integers; and how the token's integers lie for them.
//
// Where the processor has products of four bytes (VNNI, FEAT_DotProd), an activation n is two planes of bytes,
// n = 128 h + l, each [C]. Elsewhere it is words, the four columns of a quad as 0, 2, 1, 3, because that is how four
// bytes come apart into words.
//
// Of each set: `Bytes`, those of a quad of 16 rows, or the halves of two quads (int4.h). `lower` and `upper` make bytes
// of halves, with a half as the upper four bits and zeros below: 16 times as much, and so the zero is a byte's. And
// beside Int8Sums `kInt8TokensAtOnce`, the tokens whose sums are kept in registers; `kInt8Parts`, the parts in which
// one token's sums are made, because a single chain of additions would wait for itself.

#ifndef OSSIA_INT8_SUMS_H_
#define OSSIA_INT8_SUMS_H_

#include "int8.h"
#include "simd.h"

#if defined(OSSIA_ISA_avx512bf16)
#include "same_in_lanes.h"
#endif
#if defined(OSSIA_ISA_avx512bf16) || defined(OSSIA_ISA_dotprod)
#define OSSIA_HAS_BYTES 1
#endif

namespace ossia::OSSIA_ISA {

constexpr uint32_t kUpper = 0xF0F0F0F0;  // of each byte the upper half

// Four bytes, or two words, as one number.
template <class T>
OSSIA_INLINE int32_t together(const T* values) {
  int32_t word;
  memcpy(&word, values, sizeof(word));
  return word;
}

#if defined(OSSIA_HAS_BYTES)

constexpr int64_t kColumnBytes = 1;  // of a plane

OSSIA_INLINE void place(int32_t n, int64_t column, int64_t padded, char* integers) {
  const int32_t high = (n + 64) >> 7;
  integers[column] = static_cast<char>(high);
  integers[padded + kInt8Chunk + column] = static_cast<char>(n - 128 * high);
}

#else

constexpr int64_t kColumnBytes = 2;

OSSIA_INLINE void place(int32_t n, int64_t column, int64_t, char* integers) {
  constexpr int64_t kPlaces[kQuad] = {0, 2, 1, 3};
  const int16_t word = static_cast<int16_t>(n);
  memcpy(integers + (column / kQuad * kQuad + kPlaces[column % kQuad]) * 2, &word, sizeof(word));
}

#endif

#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)

using Bytes = __m512i;

OSSIA_INLINE Bytes bytes_at(const uint8_t* p) { return _mm512_loadu_si512(p); }
OSSIA_INLINE Bytes upper(Bytes b) { return _mm512_and_si512(b, _mm512_set1_epi32(static_cast<int>(kUpper))); }
OSSIA_INLINE Bytes lower(Bytes b) { return upper(_mm512_slli_epi16(b, 4)); }

#endif

#if defined(OSSIA_ISA_avx512bf16)

// Two registers each, of 32, beside the weights and a broadcast.
constexpr int kInt8TokensAtOnce = 12, kInt8Parts = 4;

struct Int8Sums {
  __m512i high, low;

  OSSIA_INLINE void clear() { high = low = _mm512_setzero_si512(); }
  // Quad q of the rows; `integers` as `place` left them.
  OSSIA_INLINE void add(Bytes weights, const char* integers, int64_t padded, int64_t q) {
    const char* x = integers + q * kQuad;
    high = add_bytes_times(high, weights, x);
    low = add_bytes_times(low, weights, x + padded + kInt8Chunk);
  }
  OSSIA_INLINE void add(const Int8Sums& other) {
    high = _mm512_add_epi32(high, other.high);
    low = _mm512_add_epi32(low, other.low);
  }
  OSSIA_INLINE F32 without(int32_t offset) const {
    const __m512i all = _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
    return {_mm512_cvtepi32_ps(_mm512_sub_epi32(all, _mm512_set1_epi32(offset)))};
  }
};

#elif defined(OSSIA_ISA_avx512)

constexpr int kInt8TokensAtOnce = 12, kInt8Parts = 4;

struct Int8Sums {
  __m512i sums;

  OSSIA_INLINE void clear() { sums = _mm512_setzero_si512(); }
  OSSIA_INLINE void add(Bytes bytes, const char* integers, int64_t, int64_t q) {
    const __m512i even = _mm512_and_si512(bytes, _mm512_set1_epi16(0xFF)), odd = _mm512_srli_epi16(bytes, 8);
    const char* x = integers + q * kQuad * 2;
    sums = _mm512_add_epi32(sums, _mm512_madd_epi16(even, _mm512_set1_epi32(together(x))));
    sums = _mm512_add_epi32(sums, _mm512_madd_epi16(odd, _mm512_set1_epi32(together(x + 4))));
  }
  OSSIA_INLINE void add(const Int8Sums& other) { sums = _mm512_add_epi32(sums, other.sums); }
  OSSIA_INLINE F32 without(int32_t offset) const {
    return {_mm512_cvtepi32_ps(_mm512_sub_epi32(sums, _mm512_set1_epi32(offset)))};
  }
};

#elif defined(OSSIA_ISA_avx2)

struct Bytes {
  __m256i half[2];
};

OSSIA_INLINE Bytes bytes_at(const uint8_t* p) {
  return {_mm256_loadu_si256((const __m256i*)p), _mm256_loadu_si256((const __m256i*)(p + 32))};
}
OSSIA_INLINE Bytes upper(Bytes b) {
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(kUpper));
  return {_mm256_and_si256(b.half[0], mask), _mm256_and_si256(b.half[1], mask)};
}
OSSIA_INLINE Bytes lower(Bytes b) { return upper({_mm256_slli_epi16(b.half[0], 4), _mm256_slli_epi16(b.half[1], 4)}); }

// Two registers each, of 16.
constexpr int kInt8TokensAtOnce = 4, kInt8Parts = 4;

struct Int8Sums {
  __m256i half[2];

  OSSIA_INLINE void clear() { half[0] = half[1] = _mm256_setzero_si256(); }
  OSSIA_INLINE void add(const Bytes& bytes, const char* integers, int64_t, int64_t q) {
    const char* x = integers + q * kQuad * 2;
    const __m256i first = _mm256_set1_epi32(together(x)), second = _mm256_set1_epi32(together(x + 4));
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const __m256i even = _mm256_and_si256(bytes.half[i], _mm256_set1_epi16(0xFF));
      const __m256i odd = _mm256_srli_epi16(bytes.half[i], 8);
      half[i] = _mm256_add_epi32(half[i], _mm256_madd_epi16(even, first));
      half[i] = _mm256_add_epi32(half[i], _mm256_madd_epi16(odd, second));
    }
  }
  OSSIA_INLINE void add(const Int8Sums& other) {
    half[0] = _mm256_add_epi32(half[0], other.half[0]);
    half[1] = _mm256_add_epi32(half[1], other.half[1]);
  }
  OSSIA_INLINE F32 without(int32_t offset) const {
    const __m256i offsets = _mm256_set1_epi32(offset);
    return {_mm256_cvtepi32_ps(_mm256_sub_epi32(half[0], offsets)),
            _mm256_cvtepi32_ps(_mm256_sub_epi32(half[1], offsets))};
  }
};

#elif defined(OSSIA_ISA_portable)

struct Bytes {
  uint8_t of[kPanelRows * kQuad];
};

OSSIA_INLINE Bytes bytes_at(const uint8_t* p) {
  Bytes found;
  memcpy(found.of, p, sizeof(found.of));
  return found;
}
OSSIA_INLINE Bytes upper(Bytes b) {
  for (uint8_t& each : b.of) each &= static_cast<uint8_t>(kUpper);
  return b;
}
OSSIA_INLINE Bytes lower(Bytes b) {
  for (uint8_t& each : b.of) each = static_cast<uint8_t>(each << 4);
  return b;
}

constexpr int kInt8TokensAtOnce = 4, kInt8Parts = 4;

struct Int8Sums {
  int32_t sums[kPanelRows];

  OSSIA_INLINE void clear() { memset(sums, 0, sizeof(sums)); }
  OSSIA_INLINE void add(const Bytes& bytes, const char* integers, int64_t, int64_t q) {
    const uint8_t* w = bytes.of;
    int16_t x[kQuad];
    memcpy(x, integers + q * kQuad * 2, sizeof(x));
    for (int64_t r = 0; r < kPanelRows; ++r, w += kQuad)
      sums[r] += w[0] * x[0] + w[2] * x[1] + w[1] * x[2] + w[3] * x[3];
  }
  OSSIA_INLINE void add(const Int8Sums& other) {
    for (int64_t r = 0; r < kPanelRows; ++r) sums[r] += other.sums[r];
  }
  OSSIA_INLINE F32 without(int32_t offset) const {
    float values[kPanelRows];
    for (int64_t r = 0; r < kPanelRows; ++r) values[r] = static_cast<float>(sums[r] - offset);
    return load(values);
  }
};

#endif

// The weights ahead of a chunk that are asked for: what memory takes to answer, at its speed, with a page's end in it.
// And those that the first cache is asked for, from the second, which they have come to by then: 1.1 times as fast with
// two threads. Both a line at a time, as lines are used: a chunk's at once kept those that are wanted now waiting,
// which was as fast for one token and took 1.1 times as long for three to seven.
constexpr int64_t kAhead = 16 * 1024, kSoonInPanel = 768;

// Where a chunk's bytes `kAhead` further on are, in these panels or at the start of those that come next.
struct Lookahead {
  const char* end = nullptr;
  const char* next = nullptr;  // nullptr: there are none

  // Of the chunk at `at`; that itself, which is there, where it is not known.
  OSSIA_INLINE const char* of(const char* at) const {
    if (at + kAhead < end) return at + kAhead;
    return next == nullptr ? at : next + (at + kAhead - end);
  }
  OSSIA_INLINE void ask(const char* at) const {
    const char* later = of(at);
    if (later == at) return;
    for (int64_t i = 0; i < kInt8ChunkBytes; i += kLine) prefetch_far(later + i);
  }
};

}  // namespace ossia::OSSIA_ISA

#if defined(OSSIA_ISA_neon) || defined(OSSIA_ISA_dotprod)
#include "int8_sums_neon.h"
#endif

namespace ossia::OSSIA_ISA {

// One chunk times M tokens, whose integers of it begin at x; bytes_of(q) are quad q's of the rows. `kParts` sums of
// each are kept apart; being integers, they may be.
template <int M, int kParts, class F>
OSSIA_INLINE void add_chunk(F&& bytes_of, const char* x, const Int8Shape& shape, Int8Sums (&sums)[M]) {
  const int64_t padded = shape.padded(), token = shape.token_bytes();
  Int8Sums parts[kParts][M];
#pragma GCC unroll 4
  for (int p = 0; p < kParts; ++p) {
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) parts[p][m].clear();
  }
  for (int64_t q = 0; q < kInt8Chunk / kQuad; q += kParts) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      const Bytes bytes = bytes_of(q + p);
#pragma GCC unroll 12
      for (int m = 0; m < M; ++m) parts[p][m].add(bytes, x + m * token, padded, q + p);
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    sums[m] = parts[0][m];
#pragma GCC unroll 4
    for (int p = 1; p < kParts; ++p) sums[m].add(parts[p][m]);
  }
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_INT8_SUMS_H_
