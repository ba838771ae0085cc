#include "attend.h"
#include "simd.h"

namespace ossia::OSSIA_ISA {
namespace {

#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)
// 8 rows x 2 vectors are 16 sums: enough to hide the latency of a fused multiply-add, and they fit 32 registers.
constexpr int kTileRows = 8, kTileGroups = 2;
#else
constexpr int kTileRows = 4, kTileGroups = 1;
#endif

const float kNothing = -__builtin_inff();

// Weights of the rows over one cut. A group of 16 scores may begin up to 15 positions before the cut and end 15 after
// it.
struct Scores {
  float of_row[kRows][kLanes + kCut + kLanes];

  float* at(int row, int position) { return of_row[row] + kLanes + position; }
};

OSSIA_INLINE int key_index(const float*, int e, int lane) { return e * kLanes + lane; }
OSSIA_INLINE int key_index(const uint16_t*, int e, int lane) { return (e / 2 * kLanes + lane) * 2 + e % 2; }
OSSIA_INLINE int value_index(const float*, int e) { return e; }
OSSIA_INLINE int value_index(const uint16_t*, int e) { return e / 32 * 32 + e % 16 * 2 + e / 16 % 2; }

OSSIA_INLINE void put(float* at, float x) { *at = x; }
OSSIA_INLINE void put(uint16_t* at, float x) { *at = bf16_of(x); }

// 32 neighbouring stored numbers: two vectors of keys (e and e + 1) or of values (e to e + 15 and e + 16 to e + 31).
OSSIA_INLINE void load_both(const float* p, F32& first, F32& second) {
  first = load(p);
  second = load(p + kLanes);
}
OSSIA_INLINE void load_both(const uint16_t* p, F32& first, F32& second) { load_pairs(p, first, second); }

template <class T>
const T* keys_of(const KeyValues& cache, int32_t page, int head) {
  return reinterpret_cast<const T*>(cache.data + page * cache.page_bytes + head * cache.head_bytes);
}
template <class T>
const T* values_of(const KeyValues& cache, int32_t page, int head) {
  return reinterpret_cast<const T*>(cache.data + page * cache.page_bytes + head * cache.head_bytes + cache.value_bytes);
}

// Asks for the BYTES from `p` on, before they are needed.
template <int BYTES>
OSSIA_INLINE void prefetch_bytes(const void* p) {
#pragma GCC unroll 8
  for (int i = 0; i < BYTES; i += 64) prefetch(static_cast<const char*>(p) + i);
}

// ROWS rows' scores at GROUPS * 16 neighbouring positions. What lies at `ahead`, as large as these keys, is asked for.
template <int ROWS, int GROUPS, class T>
OSSIA_INLINE void score_tile(const float* const* q, const T* keys, const T* ahead, int width, F32 factor,
                             float* const* to) {
  F32 sums[ROWS][GROUPS];
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 2
    for (int group = 0; group < GROUPS; ++group) sums[row][group] = zero();
  }
  for (int e = 0; e < width; e += 2) {
    F32 even[GROUPS], odd[GROUPS];
#pragma GCC unroll 2
    for (int group = 0; group < GROUPS; ++group) {
      load_both(keys + (group * width + e) * kLanes, even[group], odd[group]);
      prefetch_bytes<2 * kLanes * sizeof(T)>(ahead + (group * width + e) * kLanes);
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      const F32 a = broadcast(q[row][e]), b = broadcast(q[row][e + 1]);
#pragma GCC unroll 2
      for (int group = 0; group < GROUPS; ++group) {
        sums[row][group] = fma(b, odd[group], fma(a, even[group], sums[row][group]));
      }
    }
  }
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 2
    for (int group = 0; group < GROUPS; ++group) store(to[row] + group * kLanes, mul(sums[row][group], factor));
  }
}

// ROWS rows' scores at `groups` * 16 neighbouring positions of one page.
template <int ROWS, class T>
void score_page(const float* const* q, const T* keys, const T* ahead, int groups, int width, float* const* to) {
  const F32 factor = broadcast(1.f / __builtin_sqrtf(static_cast<float>(width)));
  float* at[ROWS];
  int group = 0;
  for (; group + kTileGroups <= groups; group += kTileGroups) {
    for (int row = 0; row < ROWS; ++row) at[row] = to[row] + group * kLanes;
    const int64_t offset = int64_t{group} * width * kLanes;
    score_tile<ROWS, kTileGroups>(q, keys + offset, ahead + offset, width, factor, at);
  }
  for (; group < groups; ++group) {
    for (int row = 0; row < ROWS; ++row) at[row] = to[row] + group * kLanes;
    const int64_t offset = int64_t{group} * width * kLanes;
    score_tile<ROWS, 1>(q, keys + offset, ahead + offset, width, factor, at);
  }
}

// Adds `count` positions' weighted values to the sums of ROWS rows.
template <int ROWS, class T>
void mix_page(const float* const* weights, const T* values, const T* ahead, int count, int padded,
              float* const* mixed) {
  for (int e = 0; e < padded; e += 2 * kLanes) {
    F32 low[ROWS], high[ROWS];
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) load_both(static_cast<const float*>(mixed[row] + e), low[row], high[row]);
    for (int position = 0; position < count; ++position) {
      F32 first, second;
      load_both(values + int64_t{position} * padded + e, first, second);
      prefetch_bytes<2 * kLanes * sizeof(T)>(ahead + int64_t{position} * padded + e);
#pragma GCC unroll 8
      for (int row = 0; row < ROWS; ++row) {
        const F32 weight = broadcast(weights[row][position]);
        low[row] = fma(weight, first, low[row]);
        high[row] = fma(weight, second, high[row]);
      }
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      store(mixed[row] + e, low[row]);
      store(mixed[row] + e + kLanes, high[row]);
    }
  }
}

// Calls body(page, next, offset, position, count) for each run of neighbouring positions in one page, within [first,
// end); `next` is the page of the run that follows, or `last` after the last.
template <class F>
OSSIA_INLINE void each_page(int page_size, const int32_t* table, int32_t first, int32_t end, int32_t last, F body) {
  for (int32_t position = first; position < end;) {
    const int offset = position % page_size;
    const int left = end - position, room = page_size - offset;
    const int count = left < room ? left : room;
    const int32_t next = count < left ? table[(position + count) / page_size] : last;
    body(table[position / page_size], next, offset, position, count);
    position += count;
  }
}

template <int ROWS, class T>
void score_rows(const KeyValues& cache, int head, const int32_t* table, const float* const* q, int32_t first,
                int32_t end, int32_t origin, float* const* scores) {
  const int32_t none = -1;
  each_page(cache.page_size, table, first, end, none,
            [&](int32_t page, int32_t next, int offset, int32_t position, int count) {
              const int group = offset / kLanes, groups = (offset + count - 1) / kLanes - group + 1;
              float* to[ROWS];
              for (int row = 0; row < ROWS; ++row) to[row] = scores[row] + (position - offset % kLanes - origin);
              const int64_t skipped = int64_t{group} * cache.width * kLanes;
              // After the last keys come the first values.
              const T* ahead = next == none ? values_of<T>(cache, table[first / cache.page_size], head)
                                            : keys_of<T>(cache, next, head);
              score_page<ROWS>(q, keys_of<T>(cache, page, head) + skipped, ahead + skipped, groups, cache.width, to);
            });
}

template <int ROWS, class T>
void mix_rows(const KeyValues& cache, int head, const int32_t* table, int32_t first, int32_t end, int32_t origin,
              const float* const* weights, float* const* mixed) {
  const int32_t last = table[(end - 1) / cache.page_size];
  each_page(cache.page_size, table, first, end, last,
            [&](int32_t page, int32_t next, int offset, int32_t position, int count) {
              const float* from[ROWS];
              for (int row = 0; row < ROWS; ++row) from[row] = weights[row] + (position - origin);
              const int64_t skipped = int64_t{offset} * cache.padded;
              const T* values = values_of<T>(cache, page, head) + skipped;
              mix_page<ROWS>(from, values, values_of<T>(cache, next, head) + skipped, count, cache.padded, mixed);
            });
}

// Whether there is a score that is no number among those at [begin, end).
bool has_nan(const float* scores, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    if (scores[i] != scores[i]) return true;
  }
  return false;
}

// Turns a row's scores at [begin, end), multiples of 16, into weights; those outside [first, last) count as -infinity.
void weigh(float* scores, int begin, int end, int first, int last, float& largest, float& total) {
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
    const F32 weight = sees ? exp(sub(load(scores + i), top)) : zero();
    store(scores + i, weight);
    sums = add(sums, weight);
  }
  total = sum(sums);
}

template <int ROWS, class T>
void cut_rows(const KeyValues& cache, int head, const int32_t* table, int32_t origin, int32_t first, int32_t end,
              const QueryRows& rows, int row, Scores* scores, State* state) {
  float *of_row[ROWS], *mixed[ROWS];
  for (int i = 0; i < ROWS; ++i) {
    of_row[i] = scores->at(row + i, 0);
    mixed[i] = mixed_of(state, row + i, cache.padded);
    for (int e = 0; e < cache.padded; e += kLanes) store(mixed[i] + e, zero());
  }
  score_rows<ROWS, T>(cache, head, table, rows.q + row, first, end, origin, of_row);
  const int begin = (first - origin) / kLanes * kLanes, stop = (end - origin + kLanes - 1) / kLanes * kLanes;
  for (int i = 0; i < ROWS; ++i) {
    weigh(of_row[i], begin, stop, rows.first[row + i] - origin, rows.end[row + i] - origin, state->largest[row + i],
          state->sum[row + i]);
  }
  mix_rows<ROWS, T>(cache, head, table, first, end, origin, of_row, mixed);
}

template <class T>
void cut_all(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows, State* state) {
  const int32_t origin = cut * kCut;
  int32_t first = origin + kCut, end = origin;
  for (int row = 0; row < rows.count; ++row) {
    if (rows.first[row] < first) first = rows.first[row];
    if (rows.end[row] > end) end = rows.end[row];
  }
  if (first < origin) first = origin;
  if (end > origin + kCut) end = origin + kCut;
  Scores scores;
  int row = 0;
  for (; row + kTileRows <= rows.count; row += kTileRows) {
    cut_rows<kTileRows, T>(cache, head, table, origin, first, end, rows, row, &scores, state);
  }
  for (; row + 4 <= rows.count; row += 4) {
    cut_rows<4, T>(cache, head, table, origin, first, end, rows, row, &scores, state);
  }
  for (; row < rows.count; ++row) {
    cut_rows<1, T>(cache, head, table, origin, first, end, rows, row, &scores, state);
  }
}

template <class T>
void write(const KeyValues& cache, const float* k, const float* v, int32_t slot) {
  const int32_t page = slot / cache.page_size;
  const int offset = slot % cache.page_size;
  for (int head = 0; head < cache.heads; ++head) {
    T* keys = const_cast<T*>(keys_of<T>(cache, page, head)) + int64_t{offset / kLanes} * cache.width * kLanes;
    T* values = const_cast<T*>(values_of<T>(cache, page, head)) + int64_t{offset} * cache.padded;
    for (int e = 0; e < cache.width; ++e) {
      put(keys + key_index(keys, e, offset % kLanes), k[head * cache.width + e]);
      put(values + value_index(values, e), v[head * cache.width + e]);
    }
  }
}

}  // namespace

void attend_write(const KeyValues& cache, const float* k, const float* v, const int32_t* slots, int64_t first,
                  int64_t end) {
  const int64_t stride = int64_t{cache.heads} * cache.width;
  for (int64_t token = first; token < end; ++token) {
    if (slots[token] < 0) continue;
    if (cache.is_bf16) {
      write<uint16_t>(cache, k + token * stride, v + token * stride, slots[token]);
    } else {
      write<float>(cache, k + token * stride, v + token * stride, slots[token]);
    }
  }
}

void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state) {
  if (cache.is_bf16) {
    cut_all<uint16_t>(cache, head, table, cut, rows, state);
  } else {
    cut_all<float>(cache, head, table, cut, rows, state);
  }
}

void attend_fold(State* state, State* part, int rows, int padded) {
  // -infinity - -infinity below gives NaN in rows that see nothing of the part; they are left alone.
  const F32 ours = load(state->largest), theirs = load(part->largest), both = max(theirs, ours);
  float kept[kLanes], added[kLanes], largest[kLanes];
  store(largest, both);
  store(kept, exp(sub(ours, both)));
  store(added, exp(sub(theirs, both)));
  for (int row = 0; row < rows; ++row) {
    if (part->largest[row] == kNothing) continue;
    state->largest[row] = largest[row];
    state->sum[row] = state->sum[row] * kept[row] + part->sum[row] * added[row];
    float *to = mixed_of(state, row, padded), *from = mixed_of(part, row, padded);
    const F32 keep = broadcast(kept[row]), join = broadcast(added[row]);
    for (int e = 0; e < padded; e += kLanes) store(to + e, fma(load(to + e), keep, mul(load(from + e), join)));
  }
}

void attend_finish(State* state, int row, int width, int padded, float* y) {
  const float* mixed = mixed_of(state, row, padded);
  const F32 sum = broadcast(state->sum[row]);
  int e = 0;
  for (; e + kLanes <= width; e += kLanes) store(y + e, div(load(mixed + e), sum));
  if (e < width) store_tail(y + e, div(load(mixed + e), sum), width - e);
}

}  // namespace ossia::OSSIA_ISA
