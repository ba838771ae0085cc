// What the kernels of attention share: where keys and values lie, and scores that become weights.

#ifndef OSSIA_ATTEND_KERNELS_H_
#define OSSIA_ATTEND_KERNELS_H_

#include "attend.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {

constexpr float kNothing = -__builtin_inff();

// Numbers of T (float, uint16_t for bfloat16, uint8_t for 8 bits) that share a word.
template <class T>
constexpr int kShared = 4 / static_cast<int>(sizeof(T));

// Bytes of 16 words.
constexpr int kLineBytes = kLanes * 4;

// Where a head's keys of a page begin, its values, its scales of keys and of values.
template <class T>
OSSIA_INLINE T* keys_of(const KeyValues& cache, int32_t page, int head) {
  return reinterpret_cast<T*>(cache.data + page * cache.page_bytes + head * cache.head_bytes);
}
template <class T>
OSSIA_INLINE T* values_of(const KeyValues& cache, int32_t page, int head) {
  return reinterpret_cast<T*>(cache.data + page * cache.page_bytes + head * cache.head_bytes + cache.value_bytes);
}
OSSIA_INLINE float* key_scales_of(const KeyValues& cache, int32_t page, int head) {
  return reinterpret_cast<float*>(cache.data + page * cache.page_bytes + head * cache.head_bytes + cache.scale_bytes);
}
OSSIA_INLINE float* value_scales_of(const KeyValues& cache, int32_t page, int head) {
  return key_scales_of(cache, page, head) + cache.groups * kLanes;
}

// The lines of 16 words that a key takes, and the place of one number among the keys or values of a page.
template <class T>
OSSIA_INLINE int64_t key_lines(const KeyValues& cache) {
  return (cache.width + kShared<T> - 1) / kShared<T>;
}
template <class T>
OSSIA_INLINE int64_t key_place(const KeyValues& cache, int offset, int e) {
  const int64_t line = offset / kLanes * key_lines<T>(cache) + e / kShared<T>;
  return (line * kLanes + offset % kLanes) * kShared<T> + e % kShared<T>;
}
template <class T>
OSSIA_INLINE int64_t value_place(const KeyValues& cache, int offset, int e) {
  const int64_t line = int64_t{e / kLanes} * cache.words + offset / kShared<T>;
  return (line * kLanes + e % kLanes) * kShared<T> + offset % kShared<T>;
}

// Scores of up to kRows rows over one cut, and then their weights. A group of 16 scores may begin up to 15 positions
// before the cut and end 15 after it.
struct alignas(64) Scores {
  float of_row[kRows][kLanes + kCut + kLanes];

  float* at(int row, int position) { return of_row[row] + kLanes + position; }
};

// The positions of a cut that some row sees, relative to its first one.
struct Span {
  int first, end;

  OSSIA_INLINE int begin_of_group() const { return first / kLanes * kLanes; }
  OSSIA_INLINE int end_of_group() const { return (end + kLanes - 1) / kLanes * kLanes; }
};

OSSIA_INLINE Span seen_of(const QueryRows& rows, int32_t origin) {
  int32_t first = origin + kCut, end = origin;
  for (int row = 0; row < rows.count; ++row) {
    if (rows.first[row] < first) first = rows.first[row];
    if (rows.end[row] > end) end = rows.end[row];
  }
  if (first < origin) first = origin;
  if (end > origin + kCut) end = origin + kCut;
  return {first - origin, end - origin};
}

// Whether there is a score that is no number among those at [begin, end).
OSSIA_INLINE bool has_nan(const float* scores, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    if (scores[i] != scores[i]) return true;
  }
  return false;
}

// Of what counts as nothing beside the largest score: 2^17 times e^-42 is 2^-43 of it, which no float32 sum shows.
constexpr float kLeast = -42.f;

// e^x for x <= 0, and 0 below kLeast. Weights and products that are subnormal took a processor a hundred cycles each:
// where attention is sharp, it was twelve times as long.
OSSIA_INLINE F32 weight_of(F32 x) {
  const F32 least = broadcast(kLeast);
  return select_less(x, least, zero(), exp(max(least, x)));
}

// Turns a row's scores at [begin, end), multiples of 16, into weights; those outside [first, last) count as -infinity.
OSSIA_INLINE void weigh(float* scores, int begin, int end, int first, int last, float& largest, float& total) {
  for (int i = begin; i < first && i < end; ++i) scores[i] = kNothing;
  for (int i = last > begin ? last : begin; i < end; ++i) scores[i] = kNothing;
  F32 most = broadcast(kNothing), sums = zero();
  for (int i = begin; i < end; i += kLanes) most = max(load(scores + i), most);
  largest = max_lane(most);
  // The largest of scores that are no numbers is -infinity, too, but then the row has seen something.
  if (largest == kNothing && has_nan(scores, begin, end)) largest = __builtin_nanf("");
  const bool sees = largest != kNothing;
  const F32 top = broadcast(largest);
  for (int i = begin; i < end; i += kLanes) {
    const F32 weight = sees ? weight_of(sub(load(scores + i), top)) : zero();
    store(scores + i, weight);
    sums = add(sums, weight);
  }
  total = sum(sums);
}

// `weigh` for each row, over the groups of `span`.
OSSIA_INLINE void weigh_rows(const QueryRows& rows, int32_t origin, const Span& span, Scores& scores, State* state) {
  for (int row = 0; row < rows.count; ++row) {
    weigh(scores.at(row, 0), span.begin_of_group(), span.end_of_group(), rows.first[row] - origin,
          rows.end[row] - origin, state->largest[row], state->sum[row]);
  }
}

OSSIA_INLINE void clear_mixed(State* state, int rows, int padded) {
  for (int row = 0; row < rows; ++row) {
    float* mixed = mixed_of(state, row, padded);
    for (int e = 0; e < padded; e += kLanes) store(mixed + e, zero());
  }
}

}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_ATTEND_KERNELS_H_
