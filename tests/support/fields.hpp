#pragma once
/// The fields of wire messages by their own inspect(): counted, filled, told, and spoilt one at a time.

#include "actors/payload_inspect.hpp"
#include "core/archive.hpp"
#include "core/messages.hpp"
#include "core/payload.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <caf/meta/type_name.hpp>
#include <fmt/format.h>

namespace cairn {

/// Calls `leaf` with each field that has no fields of its own, in wire order.
template <class Leaf>
class field_walker {
public:
  using result_type = void;
  static constexpr bool writes_state = false;
  explicit field_walker(Leaf leaf) : leaf_(std::move(leaf)) {}

  template <class... Fields>
  void operator()(Fields&... fields) {
    (visit(fields), ...);
  }
  template <class Field>
  void visit(Field& field) {
    if constexpr (has_fields<Field>)
      inspect(*this, field);
    else
      leaf_(field);
  }

private:
  template <class T>
  static constexpr bool is_leaf =
    std::is_arithmetic_v<
      T> || std::is_enum_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, payload> || std::is_same_v<T, metadata> || std::is_same_v<T, md5_digest>;
  template <class T>
  struct is_vector : std::false_type {};
  template <class T>
  struct is_vector<std::vector<T>> : std::true_type {};
  template <class T>
  static constexpr bool has_fields = !is_leaf<T> && !is_vector<T>::value;

  Leaf leaf_;
};

template <class Message, class Leaf>
void for_each_field(Message& message, Leaf leaf) {
  field_walker<Leaf>(std::move(leaf)).visit(message);
}

namespace detail {
struct field_counter {
  using result_type = std::size_t;
  static constexpr bool writes_state = false;
  template <class... Fields>
  std::size_t operator()(Fields&...) {
    return sizeof...(Fields);
  }
};
struct anything {
  template <class T>
  operator T() const; // NOLINT: converts on purpose
};
template <class Aggregate, std::size_t... Index>
constexpr bool takes(std::index_sequence<Index...>) {
  return requires { Aggregate{(static_cast<void>(Index), anything{})...}; };
}
} // namespace detail

/// How many fields inspect() names, without those of fields.
template <class Message>
std::size_t inspected_field_count() {
  detail::field_counter count;
  Message message;
  return inspect(count, message);
}

/// How many members a struct has.
template <class Aggregate, std::size_t Count = 32>
constexpr std::size_t member_count() {
  if constexpr (Count == 0 || detail::takes<Aggregate>(std::make_index_sequence<Count>()))
    return Count;
  else
    return member_count<Aggregate, Count - 1>();
}

/// The same without the charge of the frame that a message came in, which does not travel.
template <class Message>
constexpr std::size_t wire_member_count() {
  constexpr auto is_charged = requires(Message message) { message.charge; };
  return member_count<Message>() - (is_charged ? 1 : 0);
}

/// Gives each field another value than its default, different from the other fields' where there is room.
template <class Message>
void fill_fields(Message& message, std::uint64_t& next) {
  for_each_field(message, [&next]<class Field>(Field& field) {
    ++next;
    if constexpr (std::is_same_v<Field, bool>)
      field = !field;
    else if constexpr (std::is_enum_v<Field>)
      field = static_cast<Field>(1 + next % 2);
    else if constexpr (std::is_arithmetic_v<Field>)
      field = static_cast<Field>(std::uint64_t{0x9e3779b97f4a7c15} * next);
    else if constexpr (std::is_same_v<Field, std::string>)
      field = "text " + std::to_string(next) + std::string("\0\xff", 2);
    else if constexpr (std::is_same_v<Field, metadata>)
      field = {{"key " + std::to_string(next), "value"}, {"", ""}};
    else if constexpr (std::is_same_v<Field, md5_digest>)
      for (std::size_t i = 0; i < field.size(); ++i)
        field[i] = static_cast<std::uint8_t>(next + 17 * i);
    else if constexpr (std::is_same_v<Field, payload>) {
      const auto text = "bytes " + std::to_string(next);
      field = payload::copy_of(std::as_bytes(std::span(text)));
    } else { // a vector
      field.resize(2);
      for (auto& element : field)
        fill_fields(element, next);
    }
  });
}

/// Every field as text.
template <class Message>
std::vector<std::string> tell_fields(Message& message) {
  std::vector<std::string> told;
  for_each_field(message, [&told]<class Field>(Field& field) {
    if constexpr (std::is_enum_v<Field>)
      told.push_back(std::to_string(static_cast<int>(field)));
    else if constexpr (std::is_arithmetic_v<Field>)
      told.push_back(std::to_string(field));
    else if constexpr (std::is_same_v<Field, std::string>)
      told.push_back(field);
    else if constexpr (std::is_same_v<Field, metadata>)
      for (const auto& [key, value] : field)
        told.push_back(key + "=" + value);
    else if constexpr (std::is_same_v<Field, md5_digest>)
      told.emplace_back(field.begin(), field.end());
    else if constexpr (std::is_same_v<Field, payload>)
      told.emplace_back(reinterpret_cast<const char*>(field.bytes().data()), field.size());
    else
      for (auto& element : field)
        for (auto& text : tell_fields(element))
          told.push_back(std::move(text));
  });
  return told;
}

} // namespace cairn
