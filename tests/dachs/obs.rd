<resource schema="obs" resdir="obs">
  <meta name="title">The same frames for ObsCore</meta>
  <meta name="creationDate">2026-11-25T12:00:00Z</meta>
  <meta name="description">A row a file, published to ivoa.obscore.</meta>
  <meta name="subject">ccd-photometry</meta>

  <table id="frames" onDisk="True" adql="True">
    <mixin
      dataproduct_type="'image'"
      calib_level="calib"
      obs_collection="collection"
      obs_id="obsid"
      obs_publisher_did="did"
      access_url="url"
      access_format="mime"
      access_estsize="kilobytes"
      target_name="target"
      s_ra="ra" s_dec="dec"
      t_min="begin" t_max="begin" t_exptime="exposure"
      instrument_name="instrument"
      facility_name="'CFHT'"
      obs_release_date="release"
      proposal_id="programme"
      preview="NULL"
    >//obscore#publish</mixin>
    <column name="did" type="text"/>
    <column name="obsid" type="text"/>
    <column name="collection" type="text"/>
    <column name="instrument" type="text"/>
    <column name="url" type="text"/>
    <column name="mime" type="text"/>
    <column name="kilobytes" type="bigint" required="True"/>
    <column name="target" type="text"/>
    <column name="ra" type="double precision" unit="deg"/>
    <column name="dec" type="double precision" unit="deg"/>
    <column name="begin" type="double precision" unit="d"/>
    <column name="exposure" type="double precision" unit="s"/>
    <column name="calib" type="smallint" required="True"/>
    <column name="release" type="timestamp"/>
    <column name="programme" type="text"/>
  </table>

  <data id="import">
    <sources>frames.csv</sources>
    <csvGrammar/>
    <make table="frames">
      <rowmaker idmaps="*">
        <map key="release">parseWithNull(@release, parseTimestamp, "")</map>
      </rowmaker>
    </make>
  </data>
</resource>
