#pragma once
/// Spoils fields of wire messages: bounds and beyond, bytes that are no text, sizes that do not fit.

#include "tests/support/fields.hpp"

#include <limits>
#include <random>

namespace cairn {

class spoiler {
public:
  explicit spoiler(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  template <class Message>
  static std::size_t field_count(Message& message) {
    std::size_t count = 0;
    for_each_field(message, [&](auto&) { ++count; });
    return count;
  }
  /// Spoils the field with this number.
  template <class Message>
  void spoil(Message& message, std::size_t number) {
    std::size_t index = 0;
    for_each_field(message, [&](auto& field) {
      if (index++ == number)
        spoil_field(field);
    });
  }

private:
  void spoil_field(bool& field) { field = !field; }
  template <class Integer>
    requires std::is_arithmetic_v<Integer>
  void spoil_field(Integer& field) {
    using limits = std::numeric_limits<Integer>;
    const Integer bounds[] = {limits::min(),
                              static_cast<Integer>(limits::min() + 1),
                              static_cast<Integer>(-1),
                              0,
                              1,
                              255,
                              static_cast<Integer>(256),
                              static_cast<Integer>(1'000),
                              static_cast<Integer>(10'001),
                              static_cast<Integer>(1U << 31U),
                              static_cast<Integer>((1ULL << 63U) - 1),
                              static_cast<Integer>(limits::max() - 1),
                              limits::max(),
                              static_cast<Integer>(static_cast<std::uint64_t>(field) + 1),
                              static_cast<Integer>(random_())};
    field = bounds[below(std::size(bounds))];
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void spoil_field(Enum& field) { field = static_cast<Enum>(random_()); }
  void spoil_field(std::string& field) { field = text(); }
  void spoil_field(md5_digest& field) {
    field[below(field.size())] ^= static_cast<std::uint8_t>(1 + below(255));
  }
  void spoil_field(metadata& field) {
    for (auto pairs = one_in(4) ? 65 : 1 + below(3); pairs > 0; --pairs)
      field.insert_or_assign(text(), text());
  }
  void spoil_field(payload& field) {
    switch (below(4)) {
      case 0: field = {}; break;
      case 1: field = field.slice(0, field.size() / 2); break;
      default: {
        const auto bytes = text();
        field = payload::copy_of(std::as_bytes(std::span(bytes)));
      }
    }
  }
  template <class Element>
  void spoil_field(std::vector<Element>& field) {
    const std::size_t sizes[] = {0, 1, 2, 1'001};
    field.resize(sizes[below(std::size(sizes))]);
    if (!field.empty()) {
      auto& element = field[below(field.size())];
      spoil(element, below(field_count(element)));
    }
  }

  std::string text() {
    switch (below(12)) {
      case 0: return {};
      case 1: return std::string(1'024, 'k');
      case 2: return std::string(1'025, 'k');
      case 3: return std::string(256, 'e');
      case 4: return std::string("a\0b", 3);
      case 5: return "\xc3(";
      case 6: return "\xed\xa0\x80";
      case 7: return "\xf4\x90\x80\x80";
      case 8: return "'; DROP TABLE cairn.segment; --\n\x1b[2J";
      case 9: return one_in(20) ? std::string(1U << 20U, 'G') : std::string(5'000, '\xff');
      default: {
        std::string bytes(below(40), '\0');
        for (auto& byte : bytes)
          byte = static_cast<char>(random_());
        return bytes;
      }
    }
  }

  std::mt19937_64 random_;
};

} // namespace cairn
