// The keys and values of one cut in groups of 16 positions, as they lie or put together where they do not lie so.

#ifndef OSSIA_ATTEND_PAGES_H_
#define OSSIA_ATTEND_PAGES_H_

#include "attend_kernels.h"
#include "int8.h"

namespace ossia::OSSIA_ISA {
namespace {  // of each source, since two of one instruction set have different flags

constexpr int kQuartet = kValueBlock / kLanes;

// The groups [first, end) of four: where the keys or values of each begin, and those of as many a quartet later.
template <class T>
struct Quartet {
  const T* at[kQuartet];
  const T* ahead[kQuartet];
  int64_t line[kQuartet];  // bytes from 16 e of values to the next 16
  int first, end;
};

// T is uint16_t or uint8_t: two or four positions share a word of values.
template <class T>
class CutPages {
 public:
  CutPages(const KeyValues& cache, int head, const int32_t* table, int32_t origin, const Span& span)
      : cache_(cache),
        head_(head),
        table_(table),
        origin_(origin),
        span_(span),
        whole_(cache.page_size % kLanes == 0),
        line_(whole_ ? int64_t{cache.words} * kLineBytes : kOwnLine) {
    if (!whole_) return;
    for (int group = first_group(); group < span.end_of_group() / kLanes; ++group) {
      const int32_t position = origin + group * kLanes, page = page_of(position);
      const int offset = position % cache.page_size;
      keys_[group] = keys_of<const T>(cache, page, head) + key_place<T>(cache, offset, 0);
      values_[group] = values_of<const T>(cache, page, head) + value_place<T>(cache, offset, 0);
    }
  }

  OSSIA_INLINE int first_block() const { return span_.first / kValueBlock; }
  OSSIA_INLINE int end_block() const { return (span_.end + kValueBlock - 1) / kValueBlock; }

  // The keys of 64 positions; those at positions that nobody sees may be anything.
  OSSIA_INLINE Quartet<T> keys(int block) {
    Quartet<T> found = groups_of(block);
    for (int i = found.first; i < found.end; ++i) {
      const int group = block * kQuartet + i;
      found.at[i] = whole_ ? keys_[group] : gathered_keys(group);
      // After the last keys come the first values.
      const int beyond = group + kQuartet - span_.end_of_group() / kLanes;
      found.ahead[i] = !whole_      ? found.at[i]
                       : beyond < 0 ? keys_[group + kQuartet]
                                    : values_[first_group() + least(beyond, group - first_group())];
    }
    return found;
  }

  // Their values; with `masked` those at positions that nobody sees are 0, which matters where they meet a weight of 0
  // as numbers that need not be finite.
  OSSIA_INLINE Quartet<T> values(int block, bool masked) {
    Quartet<T> found = groups_of(block);
    for (int i = found.first; i < found.end; ++i) {
      const int group = block * kQuartet + i;
      found.line[i] = line_;
      found.at[i] = whole_ ? values_[group] : gathered_values(group);
      found.ahead[i] = whole_ && (group + kQuartet) * kLanes < span_.end ? values_[group + kQuartet] : found.at[i];
      if (masked && whole_ && !is_seen(group)) {
        found.at[i] = masked_values(group);
        found.line[i] = kOwnLine;
      }
    }
    return found;
  }

  // Scales of a group's keys and values, in 8 bits.
  OSSIA_INLINE F32 key_scales(int group) const { return scales(group, 0); }
  OSSIA_INLINE F32 value_scales(int group) const { return scales(group, int64_t{cache_.groups} * kLanes); }

 private:
  static constexpr int kOwnLines = kLanes / kShared<T>;  // of a group's values
  static constexpr int64_t kOwnLine = kOwnLines * kLineBytes;

  OSSIA_INLINE Quartet<T> groups_of(int block) const {
    const int begin = block * kQuartet;
    const int first = span_.first / kLanes - begin, end = span_.end_of_group() / kLanes - begin;
    Quartet<T> found;
    found.first = first > 0 ? first : 0;
    found.end = end < kQuartet ? end : kQuartet;
    return found;
  }
  OSSIA_INLINE int first_group() const { return span_.first / kLanes; }
  OSSIA_INLINE bool is_seen(int group) const {
    return group * kLanes >= span_.first && (group + 1) * kLanes <= span_.end;
  }
  OSSIA_INLINE int32_t page_of(int32_t position) const { return table_[position / cache_.page_size]; }

  // Calls body(lane, page, offset) for the positions of a group that are seen.
  template <class F>
  OSSIA_INLINE void each_seen(int group, F body) const {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int32_t at = group * kLanes + lane, position = origin_ + at;
      if (at >= span_.first && at < span_.end) body(lane, page_of(position), position % cache_.page_size);
    }
  }

  T* cleared(int group) {
    T* to = own_[group % kQuartet];
    memset(to, 0, sizeof(own_[0]));
    return to;
  }
  const T* gathered_keys(int group) {
    T* to = cleared(group);
    each_seen(group, [&](int lane, int32_t page, int offset) {
      const T* from = keys_of<const T>(cache_, page, head_);
      for (int e = 0; e < cache_.width; ++e) {
        to[(e / kShared<T> * kLanes + lane) * kShared<T> + e % kShared<T>] = from[key_place<T>(cache_, offset, e)];
      }
    });
    return to;
  }
  const T* gathered_values(int group) {
    T* to = cleared(group);
    each_seen(group, [&](int lane, int32_t page, int offset) {
      const T* from = values_of<const T>(cache_, page, head_);
      for (int e = 0; e < cache_.width; ++e) {
        const int line = e / kLanes * kOwnLines + lane / kShared<T>;
        to[(line * kLanes + e % kLanes) * kShared<T> + lane % kShared<T>] = from[value_place<T>(cache_, offset, e)];
      }
    });
    return to;
  }
  // Whole words of a group with what is not seen taken out.
  const T* masked_values(int group) {
    T* to = own_[group % kQuartet];
    const T* from = values_[group];
    for (int block = 0; block < cache_.padded / kLanes; ++block) {
      for (int line = 0; line < kOwnLines; ++line) {
        const uint32_t mask = seen_mask(group * kLanes + line * kShared<T>);
        uint32_t words[kLanes];
        memcpy(words, from + (block * line_ + line * kLineBytes) / static_cast<int64_t>(sizeof(T)), sizeof(words));
        for (int i = 0; i < kLanes; ++i) words[i] &= mask;
        memcpy(to + (block * kOwnLine + line * kLineBytes) / static_cast<int64_t>(sizeof(T)), words, sizeof(words));
      }
    }
    return to;
  }
  OSSIA_INLINE uint32_t seen_mask(int position) const {
    T seen[kShared<T>] = {};
    for (int i = 0; i < kShared<T>; ++i) {
      if (position + i >= span_.first && position + i < span_.end) seen[i] = static_cast<T>(~T{0});
    }
    uint32_t mask;
    memcpy(&mask, seen, sizeof(mask));
    return mask;
  }

  OSSIA_INLINE F32 scales(int group, int64_t skipped) const {
    const int32_t position = origin_ + group * kLanes;
    if (whole_) return load(key_scales_of(cache_, page_of(position), head_) + skipped + position % cache_.page_size);
    float found[kLanes] = {};
    each_seen(group, [&](int lane, int32_t page, int offset) {
      found[lane] = key_scales_of(cache_, page, head_)[skipped + offset];
    });
    return load(found);
  }

  const KeyValues& cache_;
  const int head_;
  const int32_t* table_;
  const int32_t origin_;
  const Span span_;
  const bool whole_;  // pages are whole groups
  const int64_t line_;
  // Where each group's begin, if pages are whole groups.
  const T* keys_[kCut / kLanes];
  const T* values_[kCut / kLanes];
  alignas(64) T own_[kQuartet][(sizeof(T) == 1 ? kWidestInt8 : kWidest) * kLanes];
};

// What the work on one cut of a head begins with, and its scores.
template <class T>
class CutWork {
 public:
  CutWork(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows, State* state)
      : cache_(cache),
        rows_(rows),
        state_(state),
        origin_(cut * kCut),
        span_(seen_of(rows, origin_)),
        pages_(cache, head, table, origin_, span_) {}

 protected:
  const KeyValues& cache_;
  const QueryRows& rows_;
  State* state_;
  const int32_t origin_;
  const Span span_;
  CutPages<T> pages_;
  Scores scores_;
};

}  // namespace
}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_ATTEND_PAGES_H_
