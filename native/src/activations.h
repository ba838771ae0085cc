// The activations of one call, packed for the kernels.

#ifndef OSSIA_ACTIVATIONS_H_
#define OSSIA_ACTIVATIONS_H_

#include <cstdint>

#include "context.h"

namespace ossia {

// [rows, columns] in the form that `Kernels::products` takes, in scratch memory.
class Activations {
 public:
  Activations(ossia_context& context, int64_t rows, int64_t columns, bool fast)
      : context_(context), count_(rows), columns_(columns), fast_(fast), bytes_(bytes_of(columns)) {}

  // Bytes of scratch that `take` uses.
  size_t room() const { return ossia::room<char>(count_ * bytes_) + ossia::room<const void*>(count_); }
  void take(Scratch& scratch) {
    packed_ = scratch.take<char>(count_ * bytes_);
    rows_ = scratch.take<const void*>(count_);
    for (int64_t i = 0; i < count_; ++i) rows_[i] = row(i);
  }

  // All rows from x [rows, columns].
  void pack(const float* x) {
    context_.pool.run(divide_up(count_, kRowsPerChunk), [&](int64_t chunk, int) {
      const int64_t begin = chunk * kRowsPerChunk;
      for (int64_t i = begin; i < begin + kRowsPerChunk && i < count_; ++i) pack(i, 0, x + i * columns_, columns_);
    });
  }

  // `count` columns of one row from column `first` on, a multiple of 32.
  void pack(int64_t row, int64_t first, const float* x, int64_t count) {
    context_.kernels.pack(x, count, fast_, packed_ + row * bytes_ + bytes_of(first));
  }

  const void* row(int64_t i) const { return packed_ + i * bytes_; }
  const void* const* rows() const { return rows_; }

 private:
  // Packing a row takes less than a microsecond.
  static constexpr int64_t kRowsPerChunk = 16;

  int64_t bytes_of(int64_t columns) const { return context_.kernels.packed_bytes(columns, fast_); }

  ossia_context& context_;
  const int64_t count_, columns_;
  const bool fast_;
  const int64_t bytes_;
  char* packed_ = nullptr;
  const void** rows_ = nullptr;
};

}  // namespace ossia

#endif  // OSSIA_ACTIVATIONS_H_
