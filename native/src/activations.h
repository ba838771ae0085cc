// The activations of one call, packed for the kernels.

#ifndef OSSIA_ACTIVATIONS_H_
#define OSSIA_ACTIVATIONS_H_

#include <algorithm>
#include <cstdint>

#include "context.h"
#include "matrix.h"
#include "tile_kernels.h"

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

// Packed rows in the form in which one weight's products take them: as they are, or interleaved in groups.
//
// Rows are arranged run by run: the rows of a run are multiplied by the same matrix.
class Operands {
 public:
  Operands(ossia_context& context, int64_t rows, const ossia_weight& weight, bool fast)
      : kernels_(context.kernels),
        grouped_(takes_groups(context.kernels, weight.dtype, fast)),
        scattered_(weight.dtype == OSSIA_MXFP4),
        fast_(fast),
        count_(grouped_ ? rows : 0),
        columns_(weight.columns),
        bytes_(context.kernels.packed_bytes(weight.columns, fast)) {}

  // Bytes of scratch that `take` uses.
  size_t room() const { return ossia::room<char>(count_ * bytes_) + ossia::room<const void*>(count_); }
  // `rows` are the packed rows, in the order of the runs; they are used as long as this object.
  void take(Scratch& scratch, const void* const* rows) {
    rows_ = rows;
    if (!grouped_) return;
    memory_ = scratch.take<char>(count_ * bytes_);
    groups_ = scratch.take<const void*>(count_);
  }

  bool grouped() const { return grouped_; }

  // Has the run of `count` rows from `first` on ready for `products`. Runs may be arranged by several threads.
  void arrange(int64_t first, int64_t count) const {
    for (int64_t i = 0; grouped_ && i < count; i += kGroupTokens)
      arrange_group(first, i, std::min(kGroupTokens, count - i));
  }

  // All runs of one weight that are a single one, by all threads.
  void arrange_all(Pool& pool) const {
    if (!grouped_) return;
    pool.run(divide_up(count_, kGroupTokens), [&](int64_t group, int) {
      const int64_t i = group * kGroupTokens;
      arrange_group(0, i, std::min(kGroupTokens, count_ - i));
    });
  }

  // y[i * stride + r] = row `first` + r of the matrix times row `start` + i, for the run of `count` rows from `start`
  // on.
  void products(const Matrix& matrix, int64_t first, int64_t rows, int64_t start, int64_t count, float* y,
                int64_t stride) const {
    if (grouped_) return kernels_.group_products(matrix, first, rows, groups_ + start, count, y, stride);
    kernels_.products(matrix, first, rows, fast_, rows_ + start, count, y, stride);
  }

 private:
  // Rows `i` on of the run that begins at `start`. A run has no more groups than rows, so that each group's address has
  // a place among its run's.
  void arrange_group(int64_t start, int64_t i, int64_t count) const {
    const void*& group = groups_[start + i / kGroupTokens];
    if (count == 1 && !scattered_) {  // a group of one is its row
      group = rows_[start + i];
      return;
    }
    char* to = memory_ + (start + i) * bytes_;
    kernels_.interleave(rows_ + start + i, count, columns_, scattered_, to);
    group = to;
  }

  const Kernels& kernels_;
  const bool grouped_, scattered_, fast_;
  const int64_t count_, columns_, bytes_;
  const void* const* rows_ = nullptr;
  char* memory_ = nullptr;
  const void** groups_ = nullptr;
};

}  // namespace ossia

#endif  // OSSIA_ACTIVATIONS_H_
