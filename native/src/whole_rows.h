// The activations of the pairs whose expert few tokens chose, as whole numbers: of `turbo` alone.

#ifndef OSSIA_WHOLE_ROWS_H_
#define OSSIA_WHOLE_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "context.h"
#include "ossia.h"
#include "whole_kernels.h"

namespace ossia {

// What one weight of the experts is multiplied by, in the order of experts: a pair is a place there, an expert's pairs
// are a run. Of the places with few neighbours each has a row, to be filled with numbers and packed.
class WholeRows {
 public:
  WholeRows(ossia_context& context, int64_t pairs, const ossia_weight& weight, bool turbo)
      : kernels_(context.kernels),
        pairs_(turbo && weight.dtype == OSSIA_MXFP4 ? pairs : 0),
        most_(std::min(pairs_, kFewTokens * weight.experts)),
        columns_(weight.columns),
        bytes_(context.kernels.whole_bytes(weight.columns)) {}

  // Bytes of scratch that `take` uses.
  size_t room() const {
    return ossia::room<const void*>(pairs_) + ossia::room<float*>(pairs_) + ossia::room<char>(most_ * bytes_) +
           ossia::room<float>(most_ * columns_);
  }
  void take(Scratch& scratch) {
    packed_ = scratch.take<const void*>(pairs_);
    values_ = scratch.take<float*>(pairs_);
    packed_memory_ = scratch.take<char>(most_ * bytes_);
    values_memory_ = scratch.take<float>(most_ * columns_);
    used_ = 0;
  }

  // Whether a run of `count` places is computed with these.
  bool takes(int64_t count) const { return pairs_ > 0 && count <= kFewTokens; }

  // Gives the places of a run their rows.
  void add_run(int64_t place, int64_t count) {
    for (int64_t i = 0; i < count; ++i, ++used_) {
      packed_[place + i] = packed_memory_ + used_ * bytes_;
      values_[place + i] = values_memory_ + used_ * columns_;
    }
  }

  float* values(int64_t place) const { return values_[place]; }
  void pack(int64_t place, const float* x) const {
    kernels_.whole_pack(x, columns_, const_cast<void*>(packed_[place]));
  }

  // As Operands::products.
  void products(const Matrix& matrix, int64_t first, int64_t rows, int64_t start, int64_t count, float* y,
                int64_t stride) const {
    kernels_.whole_products(matrix, first, rows, packed_ + start, count, y, stride);
  }

 private:
  const Kernels& kernels_;
  const int64_t pairs_, most_, columns_, bytes_;
  int64_t used_ = 0;
  const void** packed_ = nullptr;
  float** values_ = nullptr;
  char* packed_memory_ = nullptr;
  float* values_memory_ = nullptr;
};

}  // namespace ossia

#endif  // OSSIA_WHOLE_ROWS_H_
