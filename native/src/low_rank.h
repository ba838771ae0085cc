// The low-rank terms beside one weight, within one call.

#ifndef OSSIA_LOW_RANK_H_
#define OSSIA_LOW_RANK_H_

#include <cstdint>

#include "context.h"
#include "kernels.h"
#include "ossia.h"

namespace ossia {

// y += scale * (x @ a.T) @ b.T in two steps: `shrink` makes x @ a.T of every item, and when all are made, `add` adds
// the rest to any part of y. An item is a token, or a token at one of its experts. Both sums are in the order that
// ossia.h states, a's over the packed x; the product with the scale and its addition to y are rounded once.
//
// Without terms both do nothing.
class LowRank {
 public:
  // `terms` may be nullptr; `most_rows` is the most rows that `add` will be asked for at once.
  LowRank(ossia_context& context, const ossia_weight& weight, const ossia_low_rank* terms, int64_t items,
          int64_t most_rows, bool fast);

  // Bytes of scratch that `take` uses.
  size_t room() const;
  // `adapters` [items], -1 for none, is used as long as this object.
  void take(Scratch& scratch, const int32_t* adapters);

  bool any() const { return terms_ != nullptr; }

  void shrink(int64_t item, int64_t expert, const void* packed_x, int thread) const;

  // Adds to y[i * stride + r] the term of item `item` + i at row `first` + r, for i < items and r < rows.
  void add(int64_t item, int64_t items, int64_t expert, int64_t first, int64_t rows, float* y, int64_t stride,
           int thread) const;

 private:
  float* temporary(int thread) const { return temporary_ + thread * temporary_size_; }

  const Kernels& kernels_;
  const int threads_;
  const ossia_low_rank* terms_;
  const int64_t items_, experts_, rows_, columns_;
  const bool fast_;
  int64_t shrunk_bytes_ = 0;
  int64_t temporary_size_ = 0;
  const int32_t* adapters_ = nullptr;
  char* shrunk_ = nullptr;
  float* temporary_ = nullptr;
};

}  // namespace ossia

#endif  // OSSIA_LOW_RANK_H_
