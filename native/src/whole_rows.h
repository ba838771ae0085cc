// Activations as whole numbers, packed and arranged for the kernels.

#ifndef OSSIA_WHOLE_ROWS_H_
#define OSSIA_WHOLE_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "context.h"
#include "kernels.h"

namespace ossia {

// Rows [rows, columns], and the places [places] at which they meet a matrix; the places of a run meet the same. In
// scratch memory; with no rows and no places it takes none, and nothing else may be asked of it.
class WholeRows {
 public:
  WholeRows(ossia_context& context, int64_t rows, int64_t places, int64_t columns, Grain grain)
      : context_(context),
        rows_(rows),
        places_(places),
        columns_(columns),
        grain_(grain),
        bytes_(rows > 0 ? context.kernels.whole_bytes(columns, grain) : 0) {}

  // Bytes of scratch that `take` uses.
  size_t room() const {
    return ossia::room<char>(rows_ * bytes_) + ossia::room<char>(places_ * bytes_) + ossia::room<const void*>(places_);
  }
  // row_of(place) is the row at a place.
  template <class F>
  void take(Scratch& scratch, F&& row_of) {
    packed_ = scratch.take<char>(rows_ * bytes_);
    runs_ = scratch.take<char>(places_ * bytes_);
    row_at_ = scratch.take<const void*>(places_);
    for (int64_t place = 0; place < places_; ++place) row_at_[place] = packed_ + row_of(place) * bytes_;
  }

  // Row i from x [columns].
  void pack(int64_t i, const float* x) const { context_.kernels.whole_pack(x, columns_, grain_, packed_ + i * bytes_); }

  // All rows from x [rows, columns].
  void pack_all(const float* x) const {
    context_.pool.run(divide_up(rows_, kRowsPerChunk), [&](int64_t chunk, int) {
      const int64_t end = std::min(rows_, (chunk + 1) * kRowsPerChunk);
      for (int64_t i = chunk * kRowsPerChunk; i < end; ++i) pack(i, x + i * columns_);
    });
  }

  // Has the run of `count` places from `place` on ready for `products`. Runs may be arranged by several threads.
  void arrange(int64_t place, int64_t count) const {
    context_.kernels.whole_arrange(row_at_ + place, count, columns_, grain_, runs_ + place * bytes_);
  }

  // y[i * stride + r] = row `first` + r of the matrix times the row at place `place` + i, for a run.
  void products(const Matrix& matrix, int64_t first, int64_t rows, int64_t place, int64_t count, float* y,
                int64_t stride) const {
    context_.kernels.whole_products(matrix, first, rows, runs_ + place * bytes_, count, grain_, y, stride);
  }

 private:
  static constexpr int64_t kRowsPerChunk = 4;

  ossia_context& context_;
  const int64_t rows_, places_, columns_;
  const Grain grain_;
  const int64_t bytes_;
  char* packed_ = nullptr;
  char* runs_ = nullptr;
  const void** row_at_ = nullptr;
};

}  // namespace ossia

#endif  // OSSIA_WHOLE_ROWS_H_
