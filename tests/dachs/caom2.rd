<resource schema="caom2" resdir="caom2">
  <meta name="title">Frames for the test of an archive client</meta>
  <meta name="creationDate">2026-11-25T12:00:00Z</meta>
  <meta name="description">Observation, Plane and Artifact of a few exposures, named as caom2 names them.</meta>
  <meta name="subject">ccd-photometry</meta>

  <table id="Observation" onDisk="True" adql="True">
    <meta name="description">one exposure</meta>
    <index columns="obsID"/>
    <column name="obsID" type="text"/>
    <column name="collection" type="text"/>
    <column name="observationID" type="text"/>
    <column name="type" type="text"/>
    <column name="intent" type="text"/>
    <column name="metaRelease" type="timestamp"/>
    <column name="proposal_id" type="text"/>
    <column name="proposal_pi" type="text"/>
    <column name="target_name" type="text"/>
    <column name="targetPosition_coordinates_cval1" type="double precision" unit="deg"/>
    <column name="targetPosition_coordinates_cval2" type="double precision" unit="deg"/>
    <column name="instrument_name" type="text"/>
    <column name="lastModified" type="timestamp"/>
    <column name="maxLastModified" type="timestamp"/>
  </table>

  <table id="Plane" onDisk="True" adql="True">
    <meta name="description">one product of an exposure</meta>
    <column name="obsID" type="text"/>
    <column name="planeID" type="text"/>
    <column name="publisherID" type="text"/>
    <column name="productID" type="text"/>
    <column name="metaRelease" type="timestamp"/>
    <column name="dataRelease" type="timestamp"/>
    <column name="calibrationLevel" type="integer" required="True"/>
    <column name="provenance_version" type="text"/>
    <column name="provenance_runID" type="text"/>
    <column name="provenance_lastExecuted" type="timestamp"/>
    <column name="energy_bandpassName" type="text"/>
    <column name="time_bounds_lower" type="double precision" unit="d"/>
    <column name="time_exposure" type="double precision" unit="s"/>
    <column name="lastModified" type="timestamp"/>
    <column name="maxLastModified" type="timestamp"/>
  </table>

  <table id="Artifact" onDisk="True" adql="True">
    <meta name="description">one file</meta>
    <column name="uri" type="text"/>
    <column name="planeID" type="text"/>
    <column name="productType" type="text"/>
    <column name="releaseType" type="text"/>
    <column name="contentType" type="text"/>
    <column name="contentLength" type="bigint" required="True" unit="byte"/>
    <column name="contentChecksum" type="text"/>
    <column name="lastModified" type="timestamp"/>
    <column name="maxLastModified" type="timestamp"/>
  </table>

  <data id="observations">
    <sources>Observation.csv</sources>
    <csvGrammar/>
    <make table="Observation"><rowmaker idmaps="*"/></make>
  </data>
  <data id="planes">
    <sources>Plane.csv</sources>
    <csvGrammar/>
    <make table="Plane">
      <rowmaker idmaps="*">
        <map key="dataRelease">parseWithNull(@dataRelease, parseTimestamp, "")</map>
        <map key="provenance_lastExecuted">parseWithNull(@provenance_lastExecuted, parseTimestamp, "")</map>
      </rowmaker>
    </make>
  </data>
  <data id="artifacts">
    <sources>Artifact.csv</sources>
    <csvGrammar/>
    <make table="Artifact"><rowmaker idmaps="*"/></make>
  </data>
</resource>
