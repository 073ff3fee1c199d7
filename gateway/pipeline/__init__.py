"""One message's way: identify, decide, authorize, then a lane.

`pipeline` reads from top to bottom as a message goes. Others use:

- `pipeline.Pipeline`, `authorize.Authorizer`: what serves by one configuration;
- `identify.Identifier`, `identify.Identified`: what a request is;
- `decide.decided_unread`: what becomes of a request whose content cannot be read;
- `retrieval.Retrieval`, `retrieval.RetrievalSource`, `compare.Comparer`: who answers a search in place of VKP, or beside it;
- `patient_numbers.PatientNumbers`, `patient_numbers.NumberResolver`: whose a number of the record system's own is;
- `content.ContentReader`: bodies, read within bounds;
- `translate.settings`, `translate.ClaimedSettings`, `translate.findings_of`: what the configuration says about translating a message, and
  what its vendor is told of it;
- `canary.Canary`, `after_pass.Rehearse`: where a patient stands, and what is told of messages that VKP has answered.
"""
