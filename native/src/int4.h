// A matrix in 8 bits (int8.h) rounded further, to 4: what tells which of its rows a draw may need (int4_screen.cc).
//
// A chunk of 64 columns of a row has one scale, its largest magnitude over 7 rounded up to bfloat16. A weight becomes
// one of the two whole numbers beside it, from -7 to 7, drawn so that on average it is itself: what rounding takes from
// a product has no direction then, and of many columns most cancels out. A scale in 8 bits that is no number, or more
// than 2^60, leaves one that is none, and zeros.
//
// A panel is laid out as in 8 bits, but that two quads of columns share 64 bytes: the first has the lower halves, and a
// half h stands for h - 8.

#ifndef OSSIA_INT4_H_
#define OSSIA_INT4_H_

#include "int8.h"

namespace ossia {

constexpr float kInt4Largest = 7.f;
constexpr int32_t kInt4Zero = 8;
constexpr int64_t kInt4ChunkBytes = kInt8ChunkBytes / 2;

struct Int4Shape : Int8Shape {
  int64_t panel_bytes() const { return scale_bytes() + padded() * kPanelRows / 2; }
};

// Some tokens as they meet panels: as beside 8 bits, and the size [T, S] of each chunk, the root of its sum of squares.
struct Int4Tokens {
  Int8Tokens tokens;
  const float* sizes;
};

// Products y, and the sums over the chunks of (scale * size) squared. Both [T, stride].
struct Int4Results {
  float *y, *squares;
  int64_t stride;
};

}  // namespace ossia

#endif  // OSSIA_INT4_H_
