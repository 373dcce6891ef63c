#include "actors/digester.hpp"

#include "actors/faults.hpp"
#include "core/validation.hpp"

namespace cairn {

digester_actor::behavior_type digester(digester_actor::pointer self, writer_actor writer) {
  exit_on_exception(self);
  return {
    [=](const digest_request& request) {
      auto verdict =
        std::make_shared<result<std::uint32_t>>(check_digests(request.job.expected, request.job.data));
      self->send(writer, digest_verdict{request.job.number, std::move(verdict)});
    },
  };
}

} // namespace cairn
