#pragma once
/// How a payload travels: its length, then its bytes in one block. A length that the frame cannot hold is
/// refused before anything is allocated; a large payload stays where it lies in the frame.

#include "core/admission.hpp"
#include "core/frame_buffer.hpp"
#include "core/payload.hpp"

#include <type_traits>

#include <caf/binary_deserializer.hpp>
#include <caf/deserializer.hpp>
#include <caf/error.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>
#include <caf/serializer.hpp>

namespace cairn {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, payload& x) {
  if constexpr (std::is_base_of_v<caf::serializer, Inspector>) {
    auto size = x.size();
    if (auto error = f.begin_sequence(size))
      return error;
    if (size > 0) // the serializer only reads, its interface serves both ways
      if (auto error = f.apply_raw(size, const_cast<std::byte*>(x.bytes().data())))
        return error;
    return f.end_sequence();
  } else if constexpr (std::is_base_of_v<caf::deserializer, Inspector>) {
    std::size_t size = 0;
    if (auto error = f.begin_sequence(size))
      return error;
    if (auto* frame = dynamic_cast<caf::binary_deserializer*>(&f); frame != nullptr) {
      if (size > frame->remaining())
        return caf::sec::end_of_stream;
      if (auto part = frame_buffer::part(buffer_being_decoded(), frame->remainder().data(), size);
          !part.empty()) {
        frame->skip(size);
        x = std::move(part);
        return f.end_sequence();
      }
    }
    auto received = payload::uninitialized(size, frame_being_decoded());
    if (received.size() != size)
      return caf::sec::runtime_error; // out of memory; an exception here would end the process
    if (size > 0)
      if (auto error = f.apply_raw(size, received.mutable_bytes().data()))
        return error;
    x = std::move(received);
    return f.end_sequence();
  } else {
    auto size = x.size(); // for people: bytes are not shown
    return f(caf::meta::type_name("payload"), size);
  }
}

} // namespace cairn
