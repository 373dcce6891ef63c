#include "core/utf8.hpp"

#include <cstddef>
#include <cstdint>

#include <fmt/format.h>

namespace cairn {

namespace {

/// Length of the well-formed sequence at the begin of `text`, 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto continues = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xBF) {
    return at(i) >= low && at(i) <= high;
  };
  const auto lead = at(0);
  if (lead < 0x80)
    return lead == 0 ? 0 : 1;
  if (lead >= 0xC2 && lead <= 0xDF)
    return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const std::uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
    const std::uint8_t high = lead == 0xED ? 0x9F : 0xBF; // past it lie the surrogates
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const std::uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

constexpr char32_t last_code_point = 0x10FFFF;
constexpr char32_t first_surrogate = 0xD800;
constexpr char32_t past_surrogates = 0xE000;

std::string encode(char32_t c) {
  const auto tail = [c](int shift) { return static_cast<char>(0x80U | ((c >> shift) & 0x3FU)); };
  if (c < 0x80)
    return {static_cast<char>(c)};
  if (c < 0x800)
    return {static_cast<char>(0xC0U | (c >> 6U)), tail(0)};
  if (c < 0x10000)
    return {static_cast<char>(0xE0U | (c >> 12U)), tail(6), tail(0)};
  return {static_cast<char>(0xF0U | (c >> 18U)), tail(12), tail(6), tail(0)};
}

char32_t decode(std::string_view sequence) {
  static constexpr std::uint8_t lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t c = static_cast<std::uint8_t>(sequence[0]) & lead_mask[sequence.size()];
  for (const char next : sequence.substr(1))
    c = (c << 6U) | (static_cast<std::uint8_t>(next) & 0x3FU);
  return c;
}

} // namespace

bool is_storable_text(std::string_view text) {
  while (!text.empty()) {
    const auto length = sequence_length(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string quoted(std::string_view bytes) {
  constexpr std::size_t max_quoted_bytes = 80;
  const auto size = bytes.size();
  std::string text = "\"";
  while (!bytes.empty() && text.size() <= max_quoted_bytes) {
    const auto length = sequence_length(bytes);
    const auto first = static_cast<std::uint8_t>(bytes[0]);
    const auto is_plain = length > 1 ? first != 0xC2 : first >= 0x20 && first < 0x7F; // 0xC2: C1 controls
    if (length != 0 && is_plain) {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
    } else {
      text += fmt::format("\\x{:02x}", first);
      bytes.remove_prefix(1);
    }
  }
  text += '"';
  return bytes.empty() ? text : fmt::format("{}... ({} bytes)", text, size);
}

std::string after_prefix(std::string_view prefix) {
  // Byte order of UTF-8 is code point order: the last code point that can grow does.
  while (!prefix.empty()) {
    auto begin = prefix.size() - 1;
    while (begin > 0 && (static_cast<std::uint8_t>(prefix[begin]) & 0xC0U) == 0x80U)
      --begin;
    auto c = decode(prefix.substr(begin));
    prefix = prefix.substr(0, begin);
    if (c == last_code_point)
      continue;
    ++c;
    return std::string{prefix} + encode(c == first_surrogate ? past_surrogates : c);
  }
  return {};
}

} // namespace cairn
