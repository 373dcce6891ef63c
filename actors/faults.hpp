#pragma once
/// What becomes of an exception that no handler should let out: logged, and the actor's exit reason.

#include <exception>

#include <caf/error.hpp>
#include <caf/sec.hpp>
#include <spdlog/spdlog.h>

namespace cairn {

/// Call first in a behaviour's factory. Without it CAF would print the exception on standard output.
template <class Self>
void exit_on_exception(Self* self) {
  self->set_exception_handler([name = self->name()](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      spdlog::error("actor_failed name={} reason=\"{}\"", name, e.what());
    } catch (...) {
      spdlog::error("actor_failed name={} reason=\"not a std::exception\"", name);
    }
    return caf::sec::runtime_error;
  });
}

} // namespace cairn
