#include "attend_kernels.h"

#include "attend_int8.h"
#include "count.h"
#include "int8_rounding.h"

namespace ossia::OSSIA_ISA {
namespace {

#if defined(OSSIA_ISA_avx512) || defined(OSSIA_ISA_avx512bf16)
// 8 rows x 2 vectors are 16 sums: enough to hide the latency of a fused multiply-add, and they fit 32 registers.
constexpr int kTileRows = 8, kTileGroups = 2;
#else
constexpr int kTileRows = 4, kTileGroups = 1;
#endif

OSSIA_INLINE void put(float* at, float x) { *at = x; }
OSSIA_INLINE void put(uint16_t* at, float x) { *at = bf16_of(x); }

// 32 neighbouring numbers of keys: e and e + 1 of 16 positions.
OSSIA_INLINE void load_both(const float* p, F32& first, F32& second) {
  first = load(p);
  second = load(p + kLanes);
}
OSSIA_INLINE void load_both(const uint16_t* p, F32& first, F32& second) { load_pairs(p, first, second); }

// Asks for the BYTES from `p` on, before they are needed.
template <int BYTES>
OSSIA_INLINE void prefetch_bytes(const void* p) {
#pragma GCC unroll 8
  for (int i = 0; i < BYTES; i += 64) prefetch_far(static_cast<const char*>(p) + i);
}

// The keys of 16 positions of a page; what is asked for beside them, as large; and where their scores are wanted.
template <class T>
struct KeyGroup {
  const T *keys, *ahead;
  int32_t at;
};

// ROWS rows' scores at the positions of GROUPS groups.
template <int ROWS, int GROUPS, class T>
OSSIA_INLINE void score_tile(const float* const* q, const KeyGroup<T>* groups, int width, float* const* to) {
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
      load_both(groups[group].keys + e * kLanes, even[group], odd[group]);
      prefetch_bytes<2 * kLanes * sizeof(T)>(groups[group].ahead + e * kLanes);
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
  const F32 factor = broadcast(1.f / __builtin_sqrtf(static_cast<float>(width)));
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row) {
#pragma GCC unroll 2
    for (int group = 0; group < GROUPS; ++group) store(to[row] + groups[group].at, mul(sums[row][group], factor));
  }
}

// Of two neighbouring positions the values of 16 e each; a word of float32 has only one.
OSSIA_INLINE void load_word(const float* p, F32& first, F32&) { first = load(p); }
OSSIA_INLINE void load_word(const uint16_t* p, F32& first, F32& second) { load_pairs(p, first, second); }

template <int ROWS>
OSSIA_INLINE void mix(const float* const* weights, int position, F32 first, F32 second, F32* low, F32* high) {
#pragma GCC unroll 8
  for (int row = 0; row < ROWS; ++row) {
    const F32 weight = broadcast(weights[row][position]);
    low[row] = fma(weight, first, low[row]);
    high[row] = fma(weight, second, high[row]);
  }
}

// Adds the weighted values of the positions [offset, end) of a page to the sums of ROWS rows; `weights` are of the
// page's position 0 on. `line` is the numbers of 16 e in the page.
template <int ROWS, class T>
void mix_page(const float* const* weights, const T* values, const T* ahead, int64_t line, int offset, int end,
              int padded, float* const* mixed) {
  constexpr int kWord = kShared<T> * kLanes;
  for (int e = 0; e < padded; e += 2 * kLanes, values += 2 * line, ahead += 2 * line) {
    F32 low[ROWS], high[ROWS];
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) load_both(static_cast<const float*>(mixed[row] + e), low[row], high[row]);
    for (int word = offset / kShared<T>; word * kShared<T> < end; ++word) {
      F32 first[2], second[2];
      load_word(values + word * kWord, first[0], first[1]);
      load_word(values + line + word * kWord, second[0], second[1]);
      prefetch_far(ahead + word * kWord);
      prefetch_far(ahead + line + word * kWord);
#pragma GCC unroll 2
      for (int i = 0; i < kShared<T>; ++i) {
        const int position = word * kShared<T> + i;
        if (position >= offset && position < end) mix<ROWS>(weights, position, first[i], second[i], low, high);
      }
    }
#pragma GCC unroll 8
    for (int row = 0; row < ROWS; ++row) {
      store(mixed[row] + e, low[row]);
      store(mixed[row] + e + kLanes, high[row]);
    }
  }
}

// Calls body(page, offset, position, count) for each run of neighbouring positions in one page, within [first, end).
template <class F>
OSSIA_INLINE void each_page(int page_size, const int32_t* table, int32_t first, int32_t end, F body) {
  for (int32_t position = first; position < end;) {
    const int offset = position % page_size;
    const int left = end - position, room = page_size - offset;
    const int count = left < room ? left : room;
    body(table[position / page_size], offset, position, count);
    position += count;
  }
}

// The position whose page is asked for beside that of `position`: kAsked further on, or in the next page.
OSSIA_INLINE int32_t position_later_than(int32_t position, int page_size) {
  return position + (page_size < kAsked ? kAsked : page_size);
}

template <int ROWS, class T>
void score_rows(const KeyValues& cache, int head, const int32_t* table, const float* const* q, int32_t first,
                int32_t end, int32_t origin, float* const* scores) {
  const auto page_at = [&](int32_t position) { return table[position / cache.page_size]; };
  KeyGroup<T> groups[kTileGroups];
  int waiting = 0;
  each_page(cache.page_size, table, first, end, [&](int32_t page, int offset, int32_t position, int count) {
    // After the last keys come the first values.
    const int32_t later = position_later_than(position, cache.page_size);
    const T* keys = keys_of<const T>(cache, page, head);
    const T* ahead = later < end ? keys_of<const T>(cache, page_at(later), head)
                                 : values_of<const T>(cache, page_at(least(first + (later - end), end - 1)), head);
    for (int group = offset / kLanes; group * kLanes < offset + count; ++group) {
      const int64_t skipped = int64_t{group} * cache.width * kLanes;
      groups[waiting++] = {keys + skipped, ahead + skipped, position - offset + group * kLanes - origin};
      if (waiting < kTileGroups) continue;
      score_tile<ROWS, kTileGroups>(q, groups, cache.width, scores);
      waiting = 0;
    }
  });
  for (int i = 0; i < waiting; ++i) score_tile<ROWS, 1>(q, groups + i, cache.width, scores);
}

template <int ROWS, class T>
void mix_rows(const KeyValues& cache, int head, const int32_t* table, int32_t first, int32_t end, int32_t origin,
              const float* const* weights, float* const* mixed) {
  const int64_t line = int64_t{cache.words} * kShared<T> * kLanes;
  each_page(cache.page_size, table, first, end, [&](int32_t page, int offset, int32_t position, int count) {
    const float* from[ROWS];
    for (int row = 0; row < ROWS; ++row) from[row] = weights[row] + (position - offset - origin);
    const int32_t later = least(position_later_than(position, cache.page_size), end - 1);
    mix_page<ROWS>(from, values_of<const T>(cache, page, head),
                   values_of<const T>(cache, table[later / cache.page_size], head), line, offset, offset + count,
                   cache.padded, mixed);
  });
}

// Calls body(Count<N>, row) for N rows from `row` on, as many together as can be.
template <class F>
OSSIA_INLINE void each_rows(int rows, F body) {
  int row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) body(Count<kTileRows>{}, row);
  for (; row + 4 <= rows; row += 4) body(Count<4>{}, row);
  for (; row < rows; ++row) body(Count<1>{}, row);
}

template <int ROWS, class T>
void score_some(const KeyValues& cache, int head, const int32_t* table, int32_t origin, const Span& span,
                const QueryRows& rows, int row, Scores& scores) {
  float* to[ROWS];
  for (int i = 0; i < ROWS; ++i) to[i] = scores.at(row + i, 0);
  score_rows<ROWS, T>(cache, head, table, rows.q + row, origin + span.first, origin + span.end, origin, to);
}

template <int ROWS, class T>
void mix_some(const KeyValues& cache, int head, const int32_t* table, int32_t origin, const Span& span, int row,
              Scores& scores, State* state) {
  const float* weights[ROWS];
  float* mixed[ROWS];
  for (int i = 0; i < ROWS; ++i) {
    weights[i] = scores.at(row + i, 0);
    mixed[i] = mixed_of(state, row + i, cache.padded);
  }
  mix_rows<ROWS, T>(cache, head, table, origin + span.first, origin + span.end, origin, weights, mixed);
}

template <class T>
void cut_all(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows, State* state) {
  const int32_t origin = cut * kCut;
  const Span span = seen_of(rows, origin);
  Scores scores;
  each_rows(rows.count,
            [&](auto count, int row) { score_some<count(), T>(cache, head, table, origin, span, rows, row, scores); });
  clear_mixed(state, rows.count, cache.padded);
  weigh_rows(rows, origin, span, scores, state);
  each_rows(rows.count,
            [&](auto count, int row) { mix_some<count(), T>(cache, head, table, origin, span, row, scores, state); });
}

// Products of whole numbers in vectors, for int8_cut.
struct VectorProducts {
  explicit VectorProducts(int) {}

  OSSIA_INLINE void score(const Int8Operand& query, const Quartet<uint8_t>& keys, int lines, float* const* to) const {
    for (int i = keys.first; i < keys.end; ++i) {
      each_rows(query.count, [&](auto count, int row) {
        score_group<count()>(query, row, keys.at[i], keys.ahead[i], lines, to + row, i * kLanes);
      });
    }
  }

  OSSIA_INLINE void mix(const Int8Operand& weights, const Quartet<uint8_t>& values, int blocks, State* state,
                        int padded) const {
    for (int block = 0; block < blocks; ++block) {
      each_rows(weights.count, [&](auto count, int row) {
        mix_block<count()>(weights, row, values, block, mixed_of(state, row, padded) + block * kLanes, padded);
      });
    }
  }

 private:
  template <int ROWS>
  static void score_group(const Int8Operand& query, int row, const uint8_t* keys, const uint8_t* ahead, int lines,
                          float* const* to, int position) {
    const int64_t padded = query.shape.padded();
    Int8Sums sums[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) sums[i].clear();
    for (int line = 0; line < lines; ++line) {
      prefetch_far(ahead + line * kLineBytes);
#pragma GCC unroll 8
      for (int i = 0; i < ROWS; ++i) sums[i].add(bytes_at(keys + line * kLineBytes), query.row(row + i), padded, line);
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) store(to[i] + position, sums[i].without(query.offsets[row + i]));
  }

  template <int ROWS>
  static void mix_block(const Int8Operand& weights, int row, const Quartet<uint8_t>& values, int block, float* mixed,
                        int padded) {
    const int64_t columns = weights.shape.padded();
    Int8Sums sums[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) sums[i].clear();
    for (int group = values.first; group < values.end; ++group) {
      for (int line = 0; line < kQuartet; ++line) {
        const int64_t at = block * values.line[group] + line * kLineBytes;
        prefetch_far(values.ahead[group] + at);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
          sums[i].add(bytes_at(values.at[group] + at), weights.row(row + i), columns, group * kQuartet + line);
        }
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
      float* to = mixed + i * padded;
      const F32 added = mul(sums[i].without(weights.offsets[row + i]), broadcast(weights.scales[row + i]));
      store(to, add(load(to), added));
    }
  }
};

// A token's number as it is written.
template <class T>
void write(const KeyValues& cache, const float* k, const float* v, int32_t slot) {
  const int32_t page = slot / cache.page_size;
  const int offset = slot % cache.page_size;
  for (int head = 0; head < cache.heads; ++head) {
    T *keys = keys_of<T>(cache, page, head), *values = values_of<T>(cache, page, head);
    for (int e = 0; e < cache.width; ++e) {
      put(keys + key_place<T>(cache, offset, e), k[head * cache.width + e]);
      put(values + value_place<T>(cache, offset, e), v[head * cache.width + e]);
    }
  }
}

// A head's key or value in 8 bits.
struct Rounded {
  int32_t integers[kWidestInt8];
  float scale;

  Rounded(const float* values, int width) {
    const Unit unit = unit_of(values, width, kInt8Largest);
    to_integers(values, width, unit.factor, integers);
    scale = unit.scale;
  }
  uint8_t byte(int e) const { return static_cast<uint8_t>(integers[e] + kInt8Zero); }
};

void write_int8(const KeyValues& cache, const float* k, const float* v, int32_t slot) {
  const int32_t page = slot / cache.page_size;
  const int offset = slot % cache.page_size;
  for (int head = 0; head < cache.heads; ++head) {
    const Rounded key(k + head * cache.width, cache.width), value(v + head * cache.width, cache.width);
    uint8_t *keys = keys_of<uint8_t>(cache, page, head), *values = values_of<uint8_t>(cache, page, head);
    for (int e = 0; e < cache.width; ++e) {
      keys[key_place<uint8_t>(cache, offset, e)] = key.byte(e);
      values[value_place<uint8_t>(cache, offset, e)] = value.byte(e);
    }
    key_scales_of(cache, page, head)[offset] = key.scale;
    value_scales_of(cache, page, head)[offset] = value.scale;
  }
}

}  // namespace

void attend_write(const KeyValues& cache, const float* k, const float* v, const int32_t* slots, int64_t first,
                  int64_t end) {
  const auto one = cache.dtype == OSSIA_F32 ? write<float> : cache.dtype == OSSIA_BF16 ? write<uint16_t> : write_int8;
  const int64_t stride = int64_t{cache.heads} * cache.width;
  for (int64_t token = first; token < end; ++token) {
    if (slots[token] >= 0) one(cache, k + token * stride, v + token * stride, slots[token]);
  }
}

void attend_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                State* state) {
  if (cache.dtype == OSSIA_F32) return cut_all<float>(cache, head, table, cut, rows, state);
  if (cache.dtype == OSSIA_BF16) return cut_all<uint16_t>(cache, head, table, cut, rows, state);
  int8_cut<VectorProducts>(cache, head, table, cut, rows, state);
}

void attend_ask(const KeyValues& cache, int head, const int32_t* table, int32_t first, int32_t end) {
  const int64_t group_bytes = cache.value_bytes / cache.groups;
  for (int32_t position = first / kLanes * kLanes; position < end; position += kLanes) {
    const int32_t seen = position < first ? first : position;
    const char* keys = keys_of<char>(cache, table[seen / cache.page_size], head);
    const char* group = keys + seen % cache.page_size / kLanes * group_bytes;
    for (int64_t i = 0; i < group_bytes; i += 64) prefetch_far(group + i);
  }
}

void attend_fold(State* state, State* part, int rows, int padded) {
  // -infinity - -infinity below gives NaN in rows that see nothing of the part; they are left alone.
  const F32 ours = load(state->largest), theirs = load(part->largest), both = max(theirs, ours);
  float kept[kLanes], added[kLanes], largest[kLanes];
  store(largest, both);
  store(kept, weight_of(sub(ours, both)));
  store(added, weight_of(sub(theirs, both)));
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
