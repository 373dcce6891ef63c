#pragma once
/// PostgreSQL array literals: how bulk statements get their columns through libpqxx 6, which binds no arrays.

#include <array>
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cairn {

/// Builds "{a,b,...}" element by element.
class array_literal {
public:
  template <class Integer>
    requires std::is_integral_v<Integer>
  void add(Integer value) {
    separate();
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text_.append(digits.data(), end);
  }
  void add(bool value) {
    separate();
    text_ += value ? 't' : 'f';
  }
  void add_null() {
    separate();
    text_ += "NULL";
  }
  void add_text(std::string_view value) {
    separate();
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\')
        text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  void add_bytes(std::span<const std::uint8_t> value) {
    static constexpr char digits[] = "0123456789abcdef";
    separate();
    text_ += "\"\\\\x";
    for (const auto byte : value) {
      text_ += digits[byte >> 4U];
      text_ += digits[byte & 15U];
    }
    text_ += '"';
  }

  /// The finished literal; nothing may be added afterwards.
  const std::string& finish() {
    text_ += '}';
    return text_;
  }

private:
  void separate() {
    if (text_.size() > 1)
      text_ += ',';
  }
  std::string text_ = "{";
};

} // namespace cairn
