// The sixteen values of an MXFP4 nibble under each scale byte.

#ifndef OSSIA_NIBBLES_H_
#define OSSIA_NIBBLES_H_

#include <stdint.h>

namespace ossia {

// The bfloat16 of a nibble (E2M1: sign, two bits of exponent, one of fraction) under a scale byte (E8M0: a power of
// two, plus 127). It is exact, subnormal values under bytes 0 and 1 included; under 253 and 254 what float32 cannot
// hold is infinite, and 255 gives NaN. Source: OCP Microscaling Formats (MX) Specification 1.0, sections 5.3.3 (E2M1)
// and 5.4.1 (E8M0).
constexpr uint16_t nibble_word(int scale, int nibble) {
  const int sign = (nibble & 8) << 12, magnitude = nibble & 7;
  if (scale == 255) return 0x7FC0;
  // An infinite power of two times zero does not arise: 2^127 is finite.
  if (magnitude == 0) return static_cast<uint16_t>(sign);
  // 0.5 is a power of two alone; of the others, every second has one bit of fraction.
  const int exponent = scale + (magnitude >> 1) - 1;
  const int fraction = magnitude > 1 && (magnitude & 1) ? 0x40 : 0;
  if (exponent >= 255) return static_cast<uint16_t>(sign | 0x7F80);
  if (exponent <= 0) return static_cast<uint16_t>(sign | (0x80 | fraction) >> (1 - exponent));
  return static_cast<uint16_t>(sign | exponent << 7 | fraction);
}

// By scale and nibble, as bfloat16 and as float32 bits. Looking a whole scale's values up takes one load, where making
// them from one power of two takes a multiplication, and multiplications are what a product has too few of.
struct NibbleTables {
  uint16_t words[256][16];
  uint32_t bits[256][16];

  constexpr NibbleTables() : words(), bits() {
    for (int scale = 0; scale < 256; ++scale) {
      for (int nibble = 0; nibble < 16; ++nibble) {
        words[scale][nibble] = nibble_word(scale, nibble);
        bits[scale][nibble] = uint32_t{nibble_word(scale, nibble)} << 16;
      }
    }
  }
};
alignas(64) inline constexpr NibbleTables kNibbles;

}  // namespace ossia

#endif  // OSSIA_NIBBLES_H_
