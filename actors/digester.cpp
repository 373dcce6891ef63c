#include "actors/digester.hpp"

#include "actors/faults.hpp"
#include "core/digest.hpp"
#include "core/validation.hpp"

namespace cairn {

digester_actor::behavior_type digester(digester_actor::pointer self, writer_actor writer) {
  exit_on_exception(self);
  return {
    [=](const digest_request& request) {
      std::vector<std::span<const std::byte>> data;
      for (const auto& job : *request.jobs)
        data.push_back(job.data.bytes());
      auto digests = digest_payloads(data);
      auto verdicts = std::make_shared<std::vector<digest_verdict>>();
      for (std::size_t i = 0; i < digests.size(); ++i) {
        const auto& job = (*request.jobs)[i];
        verdicts->push_back({job.number, compare_digests(job.expected, std::move(digests[i]))});
      }
      self->send(writer, digest_verdicts{request.digester, std::move(verdicts)});
    },
  };
}

} // namespace cairn
